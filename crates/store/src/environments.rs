//! The one machine of each account (ENV-1, ENV-2): intent, status and what is known of it.
//!
//! Who writes what: the API sets what is wanted ([`Environments::set_desired`]), reconcilers move
//! the status with the lease they hold ([`Environments::transition_unscoped`]), and the DTMA's
//! heartbeats record what the machine says ([`Environments::record_heartbeat_unscoped`]).
//! Asking for another size is in `environments/scale.rs`, the way between rows and domain types in
//! `environments/row.rs`.

mod row;
mod scale;

use std::net::IpAddr;

use agentopia_domain::direct_access::FirewallRecord;
use agentopia_domain::environment::{
    DesiredEnvironment, Environment, EnvironmentEvent, EnvironmentStatus, Notice, ProviderKind,
    Scaling,
};
use agentopia_domain::event::NewEvent;
use agentopia_domain::page::{Page, PageRequest};
use agentopia_domain::resources::Capacity;
use agentopia_domain::{AccountId, EnvironmentId};
use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, TryInsertResult,
};

use crate::convert::{fetch_limit, json, paged, word};
use crate::dialect;
use crate::entity::environment::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, on_missing};
use crate::leases::{self, LeaseKind, LeaseToken};
use crate::seam::Transaction;
use crate::store::{Changed, Store};

pub(crate) use row::to_environment;
pub use scale::Placement;

use row::to_change;

const WHAT: &str = "environment";

/// Environments. See [`Store::environments`].
#[derive(Debug, Clone, Copy)]
pub struct Environments<'a>(&'a Store);

impl Store {
    /// The machines of the accounts.
    #[must_use]
    pub fn environments(&self) -> Environments<'_> {
        Environments(self)
    }
}

/// An environment to be made, wanted from the start.
#[derive(Debug, Clone)]
pub struct NewEnvironment {
    /// Its id, unless the account has one already.
    pub id: EnvironmentId,
    /// Where its machine comes from.
    pub provider: ProviderKind,
    /// The provider's region.
    pub region: Option<String>,
    /// The provider's size.
    pub size: Option<String>,
    /// The provider's image.
    pub image: Option<String>,
}

/// Facts to write; `None` keeps what is there, `Some(None)` empties it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EnvironmentPatch {
    /// The provider's id of the machine.
    pub machine_id: Option<Option<String>>,
    /// The address on which the DTMA answers.
    pub ip_address: Option<Option<IpAddr>>,
    /// The port on which the DTMA answers.
    pub dtma_port: Option<Option<u16>>,
    /// The provider's region.
    pub region: Option<Option<String>>,
    /// The provider's size.
    pub size: Option<Option<String>>,
    /// The provider's image.
    pub image: Option<Option<String>>,
    /// How far a change of size has come.
    pub scaling: Option<Option<Scaling>>,
    /// What is known of the machine's own firewall.
    pub firewall: Option<Option<FirewallRecord>>,
    /// What the machine costs a month, in US cents.
    pub monthly_price_cents: Option<Option<u32>>,
    /// The disk that the provider gave the machine, in bytes.
    pub machine_disk_bytes: Option<Option<u64>>,
    /// When the provider says the machine was made.
    pub provider_created_at: Option<Option<DateTime<Utc>>>,
    /// When the DTMA was last heard.
    pub last_heartbeat_at: Option<Option<DateTime<Utc>>>,
    /// What went wrong last.
    pub error_message: Option<Option<String>>,
    /// What is not as it was wanted although the machine serves.
    pub notice: Option<Option<Notice>>,
    /// The version of the DTMA.
    pub dtma_version: Option<Option<String>>,
    /// What the machine has.
    pub capacity: Option<Option<Capacity>>,
    /// The container runtime.
    pub runtime: Option<Option<String>>,
}

impl EnvironmentPatch {
    /// Forgets everything that belonged to a machine that is gone.
    #[must_use]
    pub fn without_machine() -> Self {
        Self {
            machine_id: Some(None),
            ip_address: Some(None),
            dtma_port: Some(None),
            monthly_price_cents: Some(None),
            machine_disk_bytes: Some(None),
            provider_created_at: Some(None),
            last_heartbeat_at: Some(None),
            notice: Some(None),
            dtma_version: Some(None),
            capacity: Some(None),
            runtime: Some(None),
            ..Self::default()
        }
    }
}

/// What a heartbeat says of the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineHeartbeat {
    /// The version of the DTMA.
    pub dtma_version: String,
    /// What the machine has.
    pub capacity: Capacity,
    /// The container runtime: `docker` or `process`.
    pub runtime: String,
    /// The address on which the DTMA answers, where the heartbeat tells; else it stays.
    pub ip_address: Option<IpAddr>,
    /// The port on which the DTMA answers, where the heartbeat tells; else it stays.
    pub dtma_port: Option<u16>,
}

impl Environments<'_> {
    /// The account's environment, made (wanted, `pending_creation`, due at once) if there is none.
    /// Of any number of callers at the same time one makes it and writes its events.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such account.
    pub async fn get_or_create(
        &self,
        account: AccountId,
        new: NewEnvironment,
        events: &[NewEvent],
    ) -> Result<Changed<Environment>, StoreError> {
        let wanted = (
            DesiredEnvironment::Enabled,
            EnvironmentStatus::PendingCreation,
        );
        self.find_or_insert(account, new, wanted, events).await
    }

    /// The account's environment as it is, or the record of one that is off, for what needs no machine.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such account.
    pub async fn get_or_create_off(
        &self,
        account: AccountId,
        new: NewEnvironment,
    ) -> Result<Environment, StoreError> {
        let off = (DesiredEnvironment::Disabled, EnvironmentStatus::Deleted);
        Ok(self.find_or_insert(account, new, off, &[]).await?.value)
    }

    async fn find_or_insert(
        &self,
        account: AccountId,
        new: NewEnvironment,
        (desired, status): (DesiredEnvironment, EnvironmentStatus),
        events: &[NewEvent],
    ) -> Result<Changed<Environment>, StoreError> {
        if let Some(value) = self.find(account).await? {
            return Ok(Changed {
                value,
                changed: false,
            });
        }
        let now = self.0.now();
        let row = ActiveModel {
            id: Set(new.id.as_uuid()),
            account_id: Set(account.as_uuid()),
            provider: Set(word(&new.provider)),
            desired: Set(word(&desired)),
            generation: Set(1),
            status: Set(word(&status)),
            status_since: Set(now),
            region: Set(new.region),
            size: Set(new.size),
            image: Set(new.image),
            created_at: Set(now),
            updated_at: Set(now),
            ..ActiveModel::default()
        };
        let transaction = self.0.begin().await?;
        let inserted = Entity::insert(row)
            .on_conflict_do_nothing_on([Column::AccountId])
            .exec_without_returning(&transaction)
            .await
            .map_err(on_missing("account"))?;
        let changed = matches!(inserted, TryInsertResult::Inserted(1..));
        self.0
            .finish(transaction, if changed { events } else { &[] })
            .await?;
        let value = self.find(account).await?;
        let value = value.ok_or(StoreError::Stale { what: WHAT })?;
        Ok(Changed { value, changed })
    }

    /// The account's environment, if it ever had one.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn find(&self, account: AccountId) -> Result<Option<Environment>, StoreError> {
        let row = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .one(self.0.read())
            .await?;
        row.map(to_environment).transpose()
    }

    /// The environment of this id, if it is the account's.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(
        &self,
        account: AccountId,
        id: EnvironmentId,
    ) -> Result<Environment, StoreError> {
        let found = self.find(account).await?.filter(|found| found.id == id);
        found.ok_or(StoreError::not_found(WHAT))
    }

    /// For reconcilers and machines: the environment of this id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get_unscoped(&self, id: EnvironmentId) -> Result<Environment, StoreError> {
        let row = Entity::find_by_id(id.as_uuid()).one(self.0.read()).await?;
        to_environment(row.ok_or(StoreError::not_found(WHAT))?)
    }

    /// For admins: everybody's.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list_unscoped(&self, page: PageRequest) -> Result<Page<Environment>, StoreError> {
        let mut query = Entity::find().order_by_asc(Column::Id);
        if let Some(after) = page.after {
            query = query.filter(Column::Id.gt(after));
        }
        let rows = query.limit(fetch_limit(page)).all(self.0.read()).await?;
        paged(rows, page, |row| row.id, to_environment)
    }

    /// Sets what the account wants, bumps the generation and wakes the reconciler. The status moves
    /// along where its state machine has such a step; an environment that is still being taken down
    /// is remembered as wanted and comes back when that is done. Enabling one whose creation failed
    /// tries again. Wanting what is wanted changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the account never had one.
    pub async fn set_desired(
        &self,
        account: AccountId,
        desired: DesiredEnvironment,
        events: &[NewEvent],
    ) -> Result<Changed<Environment>, StoreError> {
        let transaction = self.0.begin().await?;
        let row = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .lock(dialect::ROW)
            .one(&transaction)
            .await?
            .ok_or(StoreError::not_found(WHAT))?;
        let current = to_environment(row)?;
        let retry = desired == DesiredEnvironment::Enabled
            && current.status == EnvironmentStatus::ErrorCreation;
        if current.desired == desired && !retry {
            return Ok(Changed {
                value: current,
                changed: false,
            });
        }
        let event = match desired {
            DesiredEnvironment::Enabled => EnvironmentEvent::EnableRequested,
            DesiredEnvironment::Disabled => EnvironmentEvent::DisableRequested,
        };
        let mut change = ActiveModel {
            desired: Set(word(&desired)),
            generation: Set(current.generation + 1),
            updated_at: Set(self.0.now()),
            ..ActiveModel::default()
        };
        if let Ok(next) = current.status.on(event) {
            change.status = Set(word(&next));
            change.status_since = Set(self.0.now());
        }
        if retry {
            change.error_message = Set(None);
        }
        if desired == DesiredEnvironment::Disabled {
            change.scaling = Set(None);
        }
        let rows = Entity::update_many()
            .set(change)
            .filter(Column::Id.eq(current.id.as_uuid()))
            .exec_with_returning(&transaction)
            .await?;
        leases::wake(&transaction, LeaseKind::Environment, current.id.as_uuid()).await?;
        self.0.finish(transaction, events).await?;
        Ok(Changed {
            value: first(rows)?,
            changed: true,
        })
    }

    /// For reconcilers: moves the status from `from` by `event` and writes `patch` along. Of two
    /// callers that saw the same status one succeeds. A change of size that is under way ends with
    /// its status.
    ///
    /// # Errors
    /// [`StoreError::EnvironmentTransition`] when the event has no meaning in `from`,
    /// [`StoreError::Stale`] when the status is another by now, [`StoreError::LeaseLost`] when
    /// `lease` is no longer the row's, [`StoreError::NotFound`].
    pub async fn transition_unscoped(
        &self,
        id: EnvironmentId,
        lease: Option<LeaseToken>,
        from: EnvironmentStatus,
        event: EnvironmentEvent,
        patch: EnvironmentPatch,
        events: &[NewEvent],
    ) -> Result<Environment, StoreError> {
        let next = from.on(event)?;
        let mut change = to_change(patch)?;
        change.status = Set(word(&next));
        change.status_since = Set(self.0.now());
        if next != EnvironmentStatus::Scaling {
            change.scaling = Set(None);
        }
        self.write(id, lease, Only::At(from), change, events).await
    }

    /// For reconcilers: writes `patch` without moving the status.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`].
    pub async fn update_unscoped(
        &self,
        id: EnvironmentId,
        lease: Option<LeaseToken>,
        patch: EnvironmentPatch,
        events: &[NewEvent],
    ) -> Result<Environment, StoreError> {
        self.write(id, lease, Only::Always, to_change(patch)?, events)
            .await
    }

    /// For reconcilers: the same with a machine in it, where the one that is written down is still
    /// `was`. A machine that enrols writes itself down (see [`Redemption`](crate::Redemption)), and of
    /// two of one request that is the one to keep.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when another one is written down by now, [`StoreError::LeaseLost`],
    /// [`StoreError::NotFound`].
    pub async fn record_machine_unscoped(
        &self,
        id: EnvironmentId,
        lease: Option<LeaseToken>,
        was: Option<&str>,
        patch: EnvironmentPatch,
        events: &[NewEvent],
    ) -> Result<Environment, StoreError> {
        self.write(id, lease, Only::With(was), to_change(patch)?, events)
            .await
    }

    /// Notes a heartbeat at the injected clock's now. Wakes the reconciler where a heartbeat is
    /// what it waits for (`creating`, `scaling`, `unresponsive`).
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when the environment is deleted: such a machine has nothing
    /// to report.
    pub async fn record_heartbeat_unscoped(
        &self,
        id: EnvironmentId,
        heartbeat: &MachineHeartbeat,
    ) -> Result<Environment, StoreError> {
        let mut change = ActiveModel {
            last_heartbeat_at: Set(Some(self.0.now())),
            dtma_version: Set(Some(heartbeat.dtma_version.clone())),
            capacity: Set(Some(json(
                "account_tool_environments.capacity",
                &heartbeat.capacity,
            )?)),
            runtime: Set(Some(heartbeat.runtime.clone())),
            updated_at: Set(self.0.now()),
            ..ActiveModel::default()
        };
        if let Some(ip) = heartbeat.ip_address {
            change.ip_address = Set(Some(ip.to_string()));
        }
        if let Some(port) = heartbeat.dtma_port {
            change.dtma_port = Set(Some(i64::from(port)));
        }
        let transaction = self.0.begin().await?;
        let rows = Entity::update_many()
            .set(change)
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::Status.ne(word(&EnvironmentStatus::Deleted)))
            .exec_with_returning(&transaction)
            .await?;
        let environment = match rows.is_empty() {
            true => return Err(StoreError::not_found(WHAT)),
            false => first(rows)?,
        };
        if matches!(
            environment.status,
            EnvironmentStatus::Creating
                | EnvironmentStatus::Scaling
                | EnvironmentStatus::Unresponsive
        ) {
            leases::wake(&transaction, LeaseKind::Environment, id.as_uuid()).await?;
        }
        self.0.finish(transaction, &[]).await?;
        Ok(environment)
    }

    async fn write(
        &self,
        id: EnvironmentId,
        lease: Option<LeaseToken>,
        only: Only<'_>,
        change: ActiveModel,
        events: &[NewEvent],
    ) -> Result<Environment, StoreError> {
        let transaction = self.0.begin().await?;
        let mut update = Entity::update_many()
            .set(ActiveModel {
                updated_at: Set(self.0.now()),
                ..change
            })
            .filter(Column::Id.eq(id.as_uuid()));
        update = match only {
            Only::Always => update,
            Only::At(from) => update.filter(Column::Status.eq(word(&from))),
            Only::With(Some(machine)) => update.filter(Column::MachineId.eq(machine)),
            Only::With(None) => update.filter(Column::MachineId.is_null()),
        };
        if let Some(LeaseToken(token)) = lease {
            update = update
                .filter(Column::LeaseToken.eq(token))
                .filter(Column::LeaseOwner.is_not_null());
        }
        let rows = update.exec_with_returning(&transaction).await?;
        if rows.is_empty() {
            return Err(why_not(&transaction, id, lease).await?);
        }
        if let Only::At(_) = only {
            // Its tools wait for nothing else.
            leases::wake_instances_of(&transaction, id).await?;
        }
        self.0.finish(transaction, events).await?;
        first(rows)
    }
}

/// Under which condition an environment is written.
#[derive(Debug, Clone, Copy)]
enum Only<'a> {
    Always,
    /// It stands there.
    At(EnvironmentStatus),
    /// This is the machine that is written down.
    With(Option<&'a str>),
}

/// Writes down which machine enrolled, unless another one is written down: then `false`.
pub(crate) async fn enrols(
    transaction: &Transaction,
    id: EnvironmentId,
    machine: &str,
    now: i64,
) -> Result<bool, StoreError> {
    let none_or_this = Condition::any()
        .add(Column::MachineId.is_null())
        .add(Column::MachineId.eq(machine));
    let done = Entity::update_many()
        .set(ActiveModel {
            machine_id: Set(Some(machine.to_owned())),
            updated_at: Set(now),
            ..ActiveModel::default()
        })
        .filter(Column::Id.eq(id.as_uuid()))
        .filter(none_or_this)
        .exec(transaction)
        .await?;
    Ok(done.rows_affected > 0)
}

/// Locks the account's environment for the rest of the transaction.
pub(crate) async fn lock(
    transaction: &Transaction,
    account: AccountId,
    id: EnvironmentId,
) -> Result<Environment, StoreError> {
    let row = Entity::find_by_id(id.as_uuid())
        .filter(Column::AccountId.eq(account.as_uuid()))
        .lock(dialect::ROW)
        .one(transaction)
        .await?;
    to_environment(row.ok_or(StoreError::not_found(WHAT))?)
}

/// Why a conditional update changed nothing.
async fn why_not(
    transaction: &Transaction,
    id: EnvironmentId,
    lease: Option<LeaseToken>,
) -> Result<StoreError, StoreError> {
    let row = Entity::find_by_id(id.as_uuid()).one(transaction).await?;
    Ok(match (row, lease) {
        (None, _) => StoreError::not_found(WHAT),
        (Some(row), Some(LeaseToken(token)))
            if row.lease_token != token || row.lease_owner.is_none() =>
        {
            StoreError::LeaseLost { what: WHAT }
        }
        _ => StoreError::Stale { what: WHAT },
    })
}

fn first(rows: Vec<Model>) -> Result<Environment, StoreError> {
    let row = rows.into_iter().next();
    to_environment(row.ok_or(StoreError::Stale { what: WHAT })?)
}
