//! Running copies of catalog entries (TOOL-3): creating, reading and listing them.
//!
//! `intent.rs` has what the API changes, `observe.rs` what reconcilers and machines write, `sleep.rs`
//! what happens to those that nobody uses, `versions.rs` how they come to other versions, `row.rs` the way between rows and domain types.

mod intent;
mod observe;
mod row;
mod sleep;
mod versions;

use std::collections::BTreeMap;

use agentopia_domain::admission::DoesNotFit;
use agentopia_domain::direct_access::{self, DirectAccess};
use agentopia_domain::egress::Egress;
use agentopia_domain::environment::Environment;
use agentopia_domain::event::NewEvent;
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::{Instance, InstanceStatus};
use agentopia_domain::name::Name;
use agentopia_domain::page::{Page, PageRequest};
use agentopia_domain::remote::RemoteServer;
use agentopia_domain::resources::Resources;
use agentopia_domain::{AccountId, CatalogEntryId, EnvironmentId, InstanceId, SecretId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::convert::{fetch_limit, from_json, json, paged, word};
use crate::entity::instance::{ActiveModel, Column, Entity, Model};
use crate::entity::instance_secret;
use crate::environments;
use crate::error::{StoreError, on_missing, on_missing_or_duplicate};
use crate::seam::Transaction;
use crate::store::Store;

pub(crate) use intent::start_afresh;
pub use intent::{InstanceIntent, Reconfigure};
pub use observe::{InstancePatch, InstanceReport};
pub(crate) use row::to_instances;
pub use sleep::Idleness;
pub use versions::VersionStep;

pub(crate) const WHAT: &str = "instance";
const DIRECT_ACCESS: &str = "account_tool_instances.direct_access";
const EGRESS: &str = "account_tool_instances.egress";
const REMOTE: &str = "account_tool_instances.remote";
const VERSIONS: &str = "account_tool_instances.versions";

/// Instances. See [`Store::instances`].
#[derive(Debug, Clone, Copy)]
pub struct Instances<'a>(&'a Store);

impl Store {
    /// Running copies of catalog entries.
    #[must_use]
    pub fn instances(&self) -> Instances<'_> {
        Instances(self)
    }
}

/// An instance to be made.
#[derive(Debug, Clone)]
pub struct NewInstance {
    /// Its id.
    pub id: InstanceId,
    /// Whose it is.
    pub account_id: AccountId,
    /// The machine it runs on; the account's own.
    pub environment_id: EnvironmentId,
    /// The blueprint.
    pub catalog_entry_id: CatalogEntryId,
    /// Unique among the account's instances that are not removed.
    pub name: Name,
    /// The version to run.
    pub version: String,
    /// Checked against the catalog's schema already.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// For each of the catalog's secrets, the value in the vault that fills it.
    pub secrets: BTreeMap<String, SecretId>,
    /// Its limits.
    pub resources: Resources,
    /// Whether it is wanted running; otherwise it stays stopped until its owner starts it.
    pub running: bool,
    /// From where its port may be reached directly.
    pub direct_access: Option<DirectAccess>,
    /// Where it may go to.
    pub egress: Egress,
    /// Where the server is, if it runs elsewhere.
    pub remote: Option<RemoteServer>,
    /// After how long without use it is stopped until the next call.
    pub idle: IdleSetting,
}

/// Which instances are asked for; the default is all that are not removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Only on this machine.
    pub environment_id: Option<EnvironmentId>,
    /// Only this one.
    pub name: Option<Name>,
    /// Removed ones too.
    pub with_removed: bool,
}

impl Instances<'_> {
    /// Adds an instance, if `admit` says that it fits: it is given the machine, the limits of all
    /// that are wanted there, and the new one's. Callers for one machine go one after the other, so
    /// two that fit only alone are not both admitted. One that is not to run needs no room.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] for a name that is taken, [`StoreError::DoesNotFit`],
    /// [`StoreError::TooManyRules`] for one more port than the machine's firewall has room for,
    /// [`StoreError::NotFound`] for an environment, catalog entry or secret that does not exist or
    /// is another account's.
    pub async fn create(
        &self,
        new: NewInstance,
        admit: impl FnOnce(&Environment, &[Resources], Resources) -> Result<(), DoesNotFit> + Send,
        events: &[NewEvent],
    ) -> Result<Instance, StoreError> {
        let now = self.0.now();
        let (desired, status) = match new.running {
            true => (row::RUNNING, InstanceStatus::PendingStart),
            false => (row::STOPPED, InstanceStatus::Stopped),
        };
        let row = ActiveModel {
            id: Set(new.id.as_uuid()),
            account_id: Set(new.account_id.as_uuid()),
            environment_id: Set(new.environment_id.as_uuid()),
            catalog_entry_id: Set(new.catalog_entry_id.as_uuid()),
            name: Set(new.name.as_str().to_owned()),
            version: Set(new.version),
            config: Set(json("account_tool_instances.config", &new.config)?),
            resources: Set(json("account_tool_instances.resources", &new.resources)?),
            direct_access: Set(direct_access_text(new.direct_access.as_ref())?),
            egress: Set(egress_text(&new.egress)?),
            remote: Set((new.remote.as_ref())
                .map(|remote| json(REMOTE, remote))
                .transpose()?),
            idle_seconds: Set(sleep::column_of(new.idle)),
            desired: Set(desired.to_owned()),
            purge_data: Set(false),
            generation: Set(1),
            restart_nonce: Set(0),
            observed_generation: Set(0),
            status: Set(word(&status)),
            runtime: Set("{}".to_owned()),
            created_at: Set(now),
            updated_at: Set(now),
            ..ActiveModel::default()
        };
        let transaction = self.0.begin().await?;
        let environment =
            environments::lock(&transaction, new.account_id, new.environment_id).await?;
        name_is_free(&transaction, new.account_id, new.name.as_str(), new.id).await?;
        if new.running && new.remote.is_none() {
            let present = wanted_resources(&transaction, new.environment_id, new.id).await?;
            admit(&environment, &present, new.resources)?;
        }
        admit_rules(
            &transaction,
            new.environment_id,
            new.id,
            new.direct_access.as_ref(),
        )
        .await?;
        Entity::insert(row)
            .exec_without_returning(&transaction)
            .await
            .map_err(on_missing_or_duplicate("catalog entry", WHAT, "name"))?;
        map_secrets(&transaction, new.account_id, new.id, &new.secrets).await?;
        let instance = read(&transaction, new.id).await?;
        self.0.finish(transaction, events).await?;
        Ok(instance)
    }

    /// One of the account's instances, removed or not.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(&self, account: AccountId, id: InstanceId) -> Result<Instance, StoreError> {
        let row = Entity::find_by_id(id.as_uuid())
            .filter(Column::AccountId.eq(account.as_uuid()))
            .one(self.0.read())
            .await?;
        row::one(self.0.read(), row).await
    }

    /// The account's instances, in the order they were made.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        account: AccountId,
        filter: &InstanceFilter,
        page: PageRequest,
    ) -> Result<Page<Instance>, StoreError> {
        self.select(Some(account), filter, page).await
    }

    /// For admins: everybody's.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list_unscoped(
        &self,
        filter: &InstanceFilter,
        page: PageRequest,
    ) -> Result<Page<Instance>, StoreError> {
        self.select(None, filter, page).await
    }

    async fn select(
        &self,
        account: Option<AccountId>,
        filter: &InstanceFilter,
        page: PageRequest,
    ) -> Result<Page<Instance>, StoreError> {
        let mut condition = Condition::all();
        if let Some(account) = account {
            condition = condition.add(Column::AccountId.eq(account.as_uuid()));
        }
        if let Some(environment) = filter.environment_id {
            condition = condition.add(Column::EnvironmentId.eq(environment.as_uuid()));
        }
        if let Some(name) = &filter.name {
            condition = condition.add(Column::Name.eq(name.as_str()));
        }
        if !filter.with_removed {
            condition = condition.add(Column::Status.ne(word(&InstanceStatus::Removed)));
        }
        if let Some(after) = page.after {
            condition = condition.add(Column::Id.gt(after));
        }
        let rows = Entity::find()
            .filter(condition)
            .order_by_asc(Column::Id)
            .limit(fetch_limit(page))
            .all(self.0.read())
            .await?;
        let cut = paged(rows, page, |row| row.id, Ok)?;
        Ok(Page {
            items: to_instances(self.0.read(), cut.items).await?,
            next: cut.next,
        })
    }
}

/// The limits of all instances that are wanted on a machine: neither stopped nor removed. `but` is
/// left out.
async fn wanted_resources(
    connection: &impl ConnectionTrait,
    environment: EnvironmentId,
    but: InstanceId,
) -> Result<Vec<Resources>, StoreError> {
    let wanted = Condition::all()
        .add(Column::EnvironmentId.eq(environment.as_uuid()))
        .add(Column::Id.ne(but.as_uuid()))
        .add(Column::Status.ne(word(&InstanceStatus::Removed)))
        .add(Column::Desired.ne(row::STOPPED));
    resources_of(connection, wanted).await
}

/// The limits of all instances that are to run on a machine.
pub(crate) async fn running_resources(
    connection: &impl ConnectionTrait,
    environment: EnvironmentId,
) -> Result<Vec<Resources>, StoreError> {
    let running = Condition::all()
        .add(Column::EnvironmentId.eq(environment.as_uuid()))
        .add(Column::Desired.eq(row::RUNNING));
    resources_of(connection, running).await
}

async fn resources_of(
    connection: &impl ConnectionTrait,
    which: Condition,
) -> Result<Vec<Resources>, StoreError> {
    let rows: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Resources)
        .filter(which)
        .into_tuple()
        .all(connection)
        .await?;
    rows.iter()
        .map(|text| from_json("account_tool_instances.resources", text))
        .collect()
}

/// Refuses a name that another instance has. The caller has locked the environment, so nobody takes it
/// in between. Without this look PostgreSQL would wait, with that lock held, for whoever is writing to
/// the other instance, and two such can wait for one another.
async fn name_is_free(
    connection: &impl ConnectionTrait,
    account: AccountId,
    name: &str,
    id: InstanceId,
) -> Result<(), StoreError> {
    let others = Entity::find()
        .filter(Column::AccountId.eq(account.as_uuid()))
        .filter(Column::Name.eq(name))
        .filter(Column::Id.ne(id.as_uuid()))
        .filter(Column::Status.ne(word(&InstanceStatus::Removed)));
    match others.count(connection).await? {
        0 => Ok(()),
        _ => Err(StoreError::Duplicate {
            what: WHAT,
            field: "name",
        }),
    }
}

fn direct_access_text(access: Option<&DirectAccess>) -> Result<Option<String>, StoreError> {
    access.map(|access| json(DIRECT_ACCESS, access)).transpose()
}

/// Nothing for the policy that instances had before there was another.
fn egress_text(egress: &Egress) -> Result<Option<String>, StoreError> {
    let text = (!egress.is_open()).then(|| json(EGRESS, egress));
    text.transpose()
}

/// Whether the firewall of a machine that the caller has locked has room for what `id` is granted.
/// Those that are stopped count: they can be started at any time.
async fn admit_rules(
    connection: &impl ConnectionTrait,
    environment: EnvironmentId,
    id: InstanceId,
    new: Option<&DirectAccess>,
) -> Result<(), StoreError> {
    let Some(new) = new else {
        return Ok(());
    };
    let rows: Vec<String> = Entity::find()
        .select_only()
        .column(Column::DirectAccess)
        .filter(Column::EnvironmentId.eq(environment.as_uuid()))
        .filter(Column::Id.ne(id.as_uuid()))
        .filter(Column::Status.ne(word(&InstanceStatus::Removed)))
        .filter(Column::DirectAccess.is_not_null())
        .into_tuple()
        .all(connection)
        .await?;
    let present = rows
        .iter()
        .map(|text| from_json(DIRECT_ACCESS, text))
        .collect::<Result<Vec<DirectAccess>, _>>()?;
    Ok(direct_access::admit(&present, new)?)
}

/// Writes which values fill the instance's secrets, in place of what was there.
async fn map_secrets(
    transaction: &Transaction,
    account: AccountId,
    instance: InstanceId,
    secrets: &BTreeMap<String, SecretId>,
) -> Result<(), StoreError> {
    use instance_secret as mapping;
    mapping::Entity::delete_many()
        .filter(mapping::Column::InstanceId.eq(instance.as_uuid()))
        .exec(transaction)
        .await?;
    for (name, secret) in secrets {
        mapping::Entity::insert(mapping::ActiveModel {
            instance_id: Set(instance.as_uuid()),
            name: Set(name.clone()),
            account_id: Set(account.as_uuid()),
            secret_id: Set(secret.as_uuid()),
        })
        .exec_without_returning(transaction)
        .await
        .map_err(on_missing("secret"))?;
    }
    Ok(())
}

async fn read(connection: &impl ConnectionTrait, id: InstanceId) -> Result<Instance, StoreError> {
    let row: Option<Model> = Entity::find_by_id(id.as_uuid()).one(connection).await?;
    row::one(connection, row).await
}
