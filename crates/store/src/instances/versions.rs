//! Changes of an instance's version: asked for by its owner, and moved along by its reconciler.
//!
//! Every step is one conditional write: it counts only if the generation is still the one that the step
//! was decided on, so of two replicas, or of an owner and a reconciler, one is told to look again.

use agentopia_domain::admission::DoesNotFit;
use agentopia_domain::environment::Environment;
use agentopia_domain::event::NewEvent;
use agentopia_domain::instance::{DesiredInstance, Instance, InstanceEvent};
use agentopia_domain::resources::Resources;
use agentopia_domain::versions::{How, Release, VersionChange, Versions, twin};
use agentopia_domain::{AccountId, InstanceId};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::observe::{InstancePatch, to_change, why_not};
use super::{Instances, VERSIONS, WHAT, read, row, wanted_resources};
use crate::convert::{json, word};
use crate::entity::instance::{ActiveModel, Column, Entity};
use crate::environments;
use crate::error::StoreError;
use crate::leases::{self, LeaseKind, LeaseToken};

/// One step of a change of version.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionStep {
    /// What is known of versions from now on.
    pub versions: Versions,
    /// The version to run, where that is another from now on.
    pub version: Option<String>,
    /// Whether the machine is to hear of it: the generation grows.
    pub told: bool,
    /// Facts that change with it.
    pub patch: InstancePatch,
}

impl Instances<'_> {
    /// Begins a change of version, if there is room for a second copy where one is started. Nothing may be
    /// under way.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when a change is under way or the instance is not to run any more,
    /// [`StoreError::DoesNotFit`], [`StoreError::NotFound`].
    pub async fn begin_change(
        &self,
        account: AccountId,
        id: InstanceId,
        change: VersionChange,
        admit: impl FnOnce(&Environment, &[Resources], Resources) -> Result<(), DoesNotFit> + Send,
        events: &[NewEvent],
    ) -> Result<Instance, StoreError> {
        let environment_id = self.get(account, id).await?.environment_id;
        let transaction = self.0.begin().await?;
        let environment = environments::lock(&transaction, account, environment_id).await?;
        let current = read(&transaction, id).await?;
        if current.versions.change.is_some() || current.desired != DesiredInstance::Running {
            return Err(StoreError::Stale { what: WHAT });
        }
        if change.how == How::Beside {
            // Nothing is left out: it runs twice for a while.
            let present = wanted_resources(&transaction, environment_id, twin(id)).await?;
            admit(&environment, &present, current.resources)?;
        }
        let versions = Versions {
            change: Some(change),
            problem: None,
            counted: current.versions.counted + 1,
            ..current.versions
        };
        let done = Entity::update_many()
            .set(ActiveModel {
                versions: Set(Some(json(VERSIONS, &versions)?)),
                generation: Set(current.generation + 1),
                updated_at: Set(self.0.now()),
                ..ActiveModel::default()
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::Generation.eq(current.generation))
            .exec(&transaction)
            .await?;
        if done.rows_affected == 0 {
            return Err(StoreError::Stale { what: WHAT });
        }
        leases::wake(&transaction, LeaseKind::Instance, id.as_uuid()).await?;
        let value = read(&transaction, id).await?;
        self.0.finish(transaction, events).await?;
        Ok(value)
    }

    /// Another version in the place of the one that is there, where nothing can run beside it: what is stopped or
    /// asleep, and what is reached directly, whose port is its place's. What runs is started anew.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when something changed since `seen`, [`StoreError::InstanceTransition`],
    /// [`StoreError::NotFound`].
    pub async fn replace_version(
        &self,
        account: AccountId,
        seen: &Instance,
        to: Release,
        events: &[NewEvent],
    ) -> Result<Instance, StoreError> {
        let id = seen.id;
        let transaction = self.0.begin().await?;
        let runs = seen.desired == DesiredInstance::Running && seen.asleep_since.is_none();
        let status = match runs {
            true => seen.status.on(InstanceEvent::StartRequested)?,
            false => seen.status,
        };
        let versions = Versions {
            digest: to.digest,
            kept: Some(Release {
                version: seen.version.clone(),
                digest: seen.versions.digest.clone(),
            }),
            change: None,
            problem: None,
            ..seen.versions.clone()
        };
        let mut change = ActiveModel {
            version: Set(to.version),
            versions: Set(Some(json(VERSIONS, &versions)?)),
            status: Set(word(&status)),
            generation: Set(seen.generation + 1),
            updated_at: Set(self.0.now()),
            ..ActiveModel::default()
        };
        if runs {
            change.error_message = Set(None);
            change.progress = Set(None);
        }
        let done = Entity::update_many()
            .set(change)
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::AccountId.eq(account.as_uuid()))
            .filter(Column::Generation.eq(seen.generation))
            .filter(Column::Status.eq(word(&seen.status)))
            .exec(&transaction)
            .await?;
        if done.rows_affected == 0 {
            let row = Entity::find_by_id(id.as_uuid()).one(&transaction).await?;
            return Err(why_not(row, None));
        }
        leases::wake(&transaction, LeaseKind::Instance, id.as_uuid()).await?;
        let value = read(&transaction, id).await?;
        self.0.finish(transaction, events).await?;
        Ok(value)
    }

    /// For reconcilers: one step on from `seen`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the generation is another by now, [`StoreError::LeaseLost`],
    /// [`StoreError::NotFound`].
    pub async fn step_version_unscoped(
        &self,
        seen: &Instance,
        lease: Option<LeaseToken>,
        step: VersionStep,
        events: &[NewEvent],
    ) -> Result<Instance, StoreError> {
        let grown = i64::from(step.told);
        let versions = Versions {
            counted: seen.versions.counted + grown,
            ..step.versions
        };
        let mut change = to_change(step.patch)?;
        change.versions = Set(Some(json(VERSIONS, &versions)?));
        change.generation = Set(seen.generation + grown);
        change.updated_at = Set(self.0.now());
        if let Some(version) = step.version {
            change.version = Set(version);
        }
        let transaction = self.0.begin().await?;
        let mut update = Entity::update_many()
            .set(change)
            .filter(Column::Id.eq(seen.id.as_uuid()))
            .filter(Column::Generation.eq(seen.generation));
        if let Some(LeaseToken(token)) = lease {
            update = update
                .filter(Column::LeaseToken.eq(token))
                .filter(Column::LeaseOwner.is_not_null());
        }
        let rows = update.exec_with_returning(&transaction).await?;
        let Some(written) = rows.into_iter().next() else {
            let row = Entity::find_by_id(seen.id.as_uuid())
                .one(&transaction)
                .await?;
            return Err(why_not(row, lease));
        };
        let instance = row::one(&transaction, Some(written)).await?;
        self.0.finish(transaction, events).await?;
        Ok(instance)
    }
}
