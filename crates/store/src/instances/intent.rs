//! What the owner of an instance wants: start, stop, restart, reconfigure, remove.

use std::collections::BTreeMap;

use agentopia_domain::admission::DoesNotFit;
use agentopia_domain::direct_access::DirectAccess;
use agentopia_domain::egress::Egress;
use agentopia_domain::environment::Environment;
use agentopia_domain::event::NewEvent;
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::{DesiredInstance, Instance, InstanceEvent, InstanceStatus};
use agentopia_domain::name::Name;
use agentopia_domain::resources::Resources;
use agentopia_domain::{AccountId, InstanceId, SecretId};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};

use super::{
    Instances, WHAT, admit_rules, direct_access_text, egress_text, map_secrets, name_is_free, read,
    row, sleep, wanted_resources,
};
use crate::convert::{json, word};
use crate::entity::instance::{ActiveModel, Column, Entity};
use crate::environments;
use crate::error::{StoreError, on_duplicate};
use crate::leases::{self, LeaseKind};
use crate::seam::Transaction;
use crate::store::Changed;

/// A change of what is wanted.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each request, and it is moved once"
)]
pub enum InstanceIntent {
    /// Run it. One that failed is tried again.
    Start,
    /// Stop it and keep everything.
    Stop,
    /// Run it afresh, also when it runs.
    Restart,
    /// Run it with other settings; one that is stopped stays so.
    Reconfigure(Reconfigure),
    /// Take it away.
    Remove {
        /// Whether its data goes too. Once asked for, it is not taken back.
        purge_data: bool,
    },
}

/// New settings; `None` keeps what is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reconfigure {
    /// Another name.
    pub name: Option<Name>,
    /// Another version.
    pub version: Option<String>,
    /// Another configuration, whole.
    pub config: Option<serde_json::Map<String, serde_json::Value>>,
    /// Another mapping of secrets, whole.
    pub secrets: Option<BTreeMap<String, SecretId>>,
    /// Other limits.
    pub resources: Option<Resources>,
    /// Others may reach its port directly.
    pub direct_access: Option<DirectAccess>,
    /// It may go to other places.
    pub egress: Option<Egress>,
    /// Another idle time, which begins now.
    pub idle: Option<IdleSetting>,
}

impl Reconfigure {
    /// Whether what runs is not concerned.
    fn keeps_what_runs(&self) -> bool {
        let named = Self {
            name: self.name.clone(),
            idle: self.idle,
            ..Self::default()
        };
        *self == named
    }
}

impl Instances<'_> {
    /// Changes what is wanted, bumps the generation, moves the status along and wakes the
    /// reconciler. Wanting what is wanted changes nothing. `admit` is asked whenever the instance is
    /// going to run that was stopped, or with other limits; see [`Instances::create`].
    ///
    /// # Errors
    /// [`StoreError::InstanceTransition`] for an instance that is being removed,
    /// [`StoreError::DoesNotFit`], [`StoreError::TooManyRules`], [`StoreError::Duplicate`],
    /// [`StoreError::NotFound`].
    pub async fn set_intent(
        &self,
        account: AccountId,
        id: InstanceId,
        intent: InstanceIntent,
        admit: impl FnOnce(&Environment, &[Resources], Resources) -> Result<(), DoesNotFit> + Send,
        events: &[NewEvent],
    ) -> Result<Changed<Instance>, StoreError> {
        // The machine an instance runs on never changes, so it may be read before it is locked; the
        // machine is locked first everywhere.
        let environment_id = self.get(account, id).await?.environment_id;
        let transaction = self.0.begin().await?;
        let environment = environments::lock(&transaction, account, environment_id).await?;
        Entity::find_by_id(id.as_uuid())
            .filter(Column::AccountId.eq(account.as_uuid()))
            .lock_exclusive()
            .one(&transaction)
            .await?
            .ok_or(StoreError::not_found(WHAT))?;
        let current = read(&transaction, id).await?;
        let Some(next) = plan(&current, &intent)? else {
            return Ok(Changed {
                value: current,
                changed: false,
            });
        };
        let (desired, purge_data) = row::split_desired(next.desired);
        let mut change = ActiveModel {
            desired: Set(desired.to_owned()),
            purge_data: Set(purge_data),
            generation: Set(current.generation + 1),
            restart_nonce: Set(current.restart_nonce + i64::from(next.restart)),
            status: Set(word(&next.status)),
            updated_at: Set(self.0.now()),
            ..ActiveModel::default()
        };
        if next.status != InstanceStatus::Asleep {
            change.asleep_since = Set(None);
        }
        if next.status == InstanceStatus::PendingStart {
            change.error_message = Set(None);
            change.progress = Set(None);
        }
        let mut resources = current.resources;
        let mut has_port = current.direct_access.is_some();
        let mut begins_anew = false;
        if let InstanceIntent::Reconfigure(new) = intent {
            if let Some(name) = new.name {
                name_is_free(&transaction, account, name.as_str(), id).await?;
                change.name = Set(name.as_str().to_owned());
            }
            if let Some(version) = new.version {
                change.version = Set(version);
            }
            if let Some(config) = new.config {
                change.config = Set(json("account_tool_instances.config", &config)?);
            }
            if let Some(secrets) = new.secrets {
                map_secrets(&transaction, account, id, &secrets).await?;
            }
            if let Some(new) = new.resources {
                resources = new;
                change.resources = Set(json("account_tool_instances.resources", &new)?);
            }
            if let Some(idle) = new.idle {
                change.idle_seconds = Set(sleep::column_of(idle));
                begins_anew = true;
            }
            if let Some(egress) = new.egress {
                change.egress = Set(egress_text(&egress)?);
            }
            if let Some(access) = new.direct_access {
                admit_rules(&transaction, environment_id, id, Some(&access)).await?;
                change.direct_access = Set(direct_access_text(Some(&access))?);
                has_port = true;
            }
        }
        // What runs elsewhere needs no room.
        let starts = next.desired == DesiredInstance::Running && current.remote.is_none();
        if starts && (current.desired != next.desired || resources != current.resources) {
            let present = wanted_resources(&transaction, environment_id, id).await?;
            admit(&environment, &present, resources)?;
        }
        let mut update = Entity::update_many().set(change);
        if begins_anew {
            let now = Expr::cust(transaction.now_sql());
            update = update.col_expr(Column::LastUsedAt, now);
        }
        update
            .filter(Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(on_duplicate(WHAT, "name"))?;
        leases::wake(&transaction, LeaseKind::Instance, id.as_uuid()).await?;
        if has_port {
            // What the machine's firewall lets in may be less from now on.
            let environment = environment_id.as_uuid();
            leases::wake(&transaction, LeaseKind::Environment, environment).await?;
        }
        let value = read(&transaction, id).await?;
        self.0.finish(transaction, events).await?;
        Ok(Changed {
            value,
            changed: true,
        })
    }
}

/// Has an instance run afresh because something that it reads at its start is another now (a
/// secret's value). One that is stopped, or goes away, reads it when it is started next, if ever.
pub(crate) async fn start_afresh(
    transaction: &Transaction,
    id: InstanceId,
    now: i64,
) -> Result<(), StoreError> {
    let (running, _) = row::split_desired(DesiredInstance::Running);
    let change = ActiveModel {
        status: Set(word(&InstanceStatus::PendingStart)),
        error_message: Set(None),
        progress: Set(None),
        updated_at: Set(now),
        ..ActiveModel::default()
    };
    // Its machine may be off, which is the environment's matter and leaves it stopped.
    let restartable = [
        InstanceStatus::PendingStart,
        InstanceStatus::Starting,
        InstanceStatus::Running,
        InstanceStatus::ErrorRuntime,
    ];
    Entity::update_many()
        .set(change)
        .col_expr(Column::Generation, Expr::col(Column::Generation).add(1))
        .filter(Column::Id.eq(id.as_uuid()))
        .filter(Column::Desired.eq(running))
        .filter(Column::Status.is_in(restartable.map(|status| word(&status))))
        .exec(transaction)
        .await?;
    leases::wake(transaction, LeaseKind::Instance, id.as_uuid()).await
}

struct Next {
    desired: DesiredInstance,
    status: InstanceStatus,
    restart: bool,
}

/// What an intent makes of an instance; `None` where it is wanted so already.
fn plan(current: &Instance, intent: &InstanceIntent) -> Result<Option<Next>, StoreError> {
    let wanted = current.desired;
    let removing = matches!(wanted, DesiredInstance::Removed { .. });
    let failed = current.status == InstanceStatus::ErrorRuntime;
    let asleep = current.status == InstanceStatus::Asleep;
    let (desired, event) = match intent {
        InstanceIntent::Start if wanted == DesiredInstance::Running && !failed && !asleep => {
            return Ok(None);
        }
        InstanceIntent::Stop if wanted == DesiredInstance::Stopped => return Ok(None),
        InstanceIntent::Start | InstanceIntent::Restart => {
            (DesiredInstance::Running, InstanceEvent::StartRequested)
        }
        InstanceIntent::Stop => (DesiredInstance::Stopped, InstanceEvent::StopRequested),
        InstanceIntent::Reconfigure(new)
            if wanted == DesiredInstance::Stopped
                || asleep
                || (!removing && new.keeps_what_runs()) =>
        {
            return Ok(Some(Next {
                desired: wanted,
                status: current.status,
                restart: false,
            }));
        }
        InstanceIntent::Reconfigure(_) => (wanted, InstanceEvent::StartRequested),
        InstanceIntent::Remove { purge_data } => {
            let already = wanted == (DesiredInstance::Removed { purge_data: true });
            if removing && (already || !purge_data || current.status == InstanceStatus::Removed) {
                return Ok(None);
            }
            let desired = DesiredInstance::Removed {
                purge_data: *purge_data,
            };
            if removing {
                return Ok(Some(Next {
                    desired,
                    status: current.status,
                    restart: false,
                }));
            }
            (desired, InstanceEvent::RemoveRequested)
        }
    };
    Ok(Some(Next {
        desired,
        status: current.status.on(event)?,
        restart: matches!(intent, InstanceIntent::Restart)
            || (matches!(intent, InstanceIntent::Start) && failed),
    }))
}
