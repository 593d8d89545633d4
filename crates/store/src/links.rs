//! Which agent may use which instance (AGT-2), and under which names its tools are shown (AGT-3). What
//! secrets of its own a link carries (AGT-6) is in `secrets`.

mod secrets;

use std::collections::BTreeMap;

use agentopia_domain::event::NewEvent;
use agentopia_domain::instance::InstanceStatus;
use agentopia_domain::link::{Link, LinkPolicy, LinkSecret};
use agentopia_domain::page::{Page, PageRequest};
use agentopia_domain::{AccountId, AgentId, InstanceId, LinkId, SecretId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::convert::{fetch_limit, from_json, json, paged, time, time_opt, word};
use crate::entity::instance;
use crate::entity::link::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, on_missing_or_duplicate};
use crate::store::{Changed, Store};

pub(crate) use secrets::{carried, carriers_of};

const WHAT: &str = "link";

/// Links. See [`Store::links`].
#[derive(Debug, Clone, Copy)]
pub struct Links<'a>(&'a Store);

impl Store {
    /// Which agent may use which instance.
    #[must_use]
    pub fn links(&self) -> Links<'_> {
        Links(self)
    }
}

/// A link to be made.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// Its id.
    pub id: LinkId,
    /// The agent's account.
    pub account_id: AccountId,
    /// The agent.
    pub agent_id: AgentId,
    /// The instance; of the same account.
    pub instance_id: InstanceId,
    /// Whether the agent can use the instance from the start.
    pub enabled: bool,
    /// What it lets through.
    pub policy: LinkPolicy,
    /// The secrets of the account that it carries in place of the instance's own.
    pub secrets: BTreeMap<String, SecretId>,
}

/// What to change of a link; `None` keeps what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkPatch {
    /// Whether the agent can use the instance.
    pub enabled: Option<bool>,
    /// What it lets through, whole.
    pub policy: Option<LinkPolicy>,
    /// The secrets that it carries, all of them.
    pub secrets: Option<BTreeMap<String, SecretId>>,
}

/// Which links are asked for; the default is all of the account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkFilter {
    /// Only of this agent.
    pub agent_id: Option<AgentId>,
    /// Only to this instance.
    pub instance_id: Option<InstanceId>,
}

impl Links<'_> {
    /// Adds a link.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the agent, the instance or a secret is not the account's or the instance
    /// is removed, [`StoreError::Duplicate`] when the two are linked already.
    pub async fn create(&self, new: NewLink, events: &[NewEvent]) -> Result<Link, StoreError> {
        let now = self.0.now();
        let row = Model {
            id: new.id.as_uuid(),
            account_id: new.account_id.as_uuid(),
            agent_id: new.agent_id.as_uuid(),
            instance_id: new.instance_id.as_uuid(),
            enabled: new.enabled,
            activated_at: new.enabled.then_some(now),
            deactivated_at: None,
            policy: json("links.policy", &new.policy)?,
            exposed_names: "{}".to_owned(),
            created_at: now,
            updated_at: now,
        };
        let transaction = self.0.begin().await?;
        // Locked, so that a removal that ends at this moment comes before or after, not between.
        instance::Entity::find_by_id(new.instance_id.as_uuid())
            .filter(instance::Column::AccountId.eq(new.account_id.as_uuid()))
            .filter(instance::Column::Status.is_not_in([
                word(&InstanceStatus::PendingRemoval),
                word(&InstanceStatus::Removed),
            ]))
            .lock_exclusive()
            .one(&transaction)
            .await?
            .ok_or(StoreError::not_found("instance"))?;
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(&transaction)
            .await
            .map_err(on_missing_or_duplicate("agent", WHAT, "agent and instance"))?;
        secrets::replace(&transaction, new.account_id, new.id, &new.secrets).await?;
        let link = one(&transaction, row).await?;
        self.0.finish(transaction, events).await?;
        Ok(link)
    }

    /// One of the account's links.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(&self, account: AccountId, id: LinkId) -> Result<Link, StoreError> {
        let row = Entity::find_by_id(id.as_uuid())
            .filter(Column::AccountId.eq(account.as_uuid()))
            .one(self.0.read())
            .await?;
        one(self.0.read(), row.ok_or(StoreError::not_found(WHAT))?).await
    }

    /// The same by bare id, for machines.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get_unscoped(&self, id: LinkId) -> Result<Link, StoreError> {
        let row = Entity::find_by_id(id.as_uuid()).one(self.0.read()).await?;
        one(self.0.read(), row.ok_or(StoreError::not_found(WHAT))?).await
    }

    /// The account's links, in the order they were made.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        account: AccountId,
        filter: LinkFilter,
        page: PageRequest,
    ) -> Result<Page<Link>, StoreError> {
        let mut condition = Condition::all().add(Column::AccountId.eq(account.as_uuid()));
        if let Some(agent) = filter.agent_id {
            condition = condition.add(Column::AgentId.eq(agent.as_uuid()));
        }
        if let Some(instance) = filter.instance_id {
            condition = condition.add(Column::InstanceId.eq(instance.as_uuid()));
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
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let carried = carried(self.0.read(), &ids).await?;
        paged(
            rows,
            page,
            |row| row.id,
            |row| {
                let secrets = carried.get(&row.id).cloned().unwrap_or_default();
                to_link(row, secrets)
            },
        )
    }

    /// Switches a link on or off, or changes what it lets through or carries. What is so already
    /// changes nothing, its times included.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also for a secret that is not the account's.
    pub async fn update(
        &self,
        account: AccountId,
        id: LinkId,
        patch: LinkPatch,
        events: &[NewEvent],
    ) -> Result<Changed<Link>, StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        let row = Entity::find_by_id(id.as_uuid())
            .filter(Column::AccountId.eq(account.as_uuid()))
            .lock_exclusive()
            .one(&transaction)
            .await?;
        let current = one(&transaction, row.ok_or(StoreError::not_found(WHAT))?).await?;
        let enabled = patch.enabled.filter(|enabled| *enabled != current.enabled);
        let policy = patch.policy.filter(|policy| *policy != current.policy);
        let carries = |secrets: &BTreeMap<String, SecretId>| {
            let now = current.secrets.iter().map(|(name, own)| (name, &own.id));
            secrets.iter().eq(now)
        };
        let secrets = patch.secrets.filter(|secrets| !carries(secrets));
        if enabled.is_none() && policy.is_none() && secrets.is_none() {
            return Ok(Changed {
                value: current,
                changed: false,
            });
        }
        let mut change = ActiveModel {
            updated_at: Set(now),
            ..ActiveModel::default()
        };
        if let Some(enabled) = enabled {
            change.enabled = Set(enabled);
            match enabled {
                true => change.activated_at = Set(Some(now)),
                false => change.deactivated_at = Set(Some(now)),
            }
        }
        if let Some(policy) = policy {
            change.policy = Set(json("links.policy", &policy)?);
            let names = still_exposed(&current, &policy);
            change.exposed_names = Set(json("links.exposed_names", &names)?);
        }
        if let Some(secrets) = secrets {
            secrets::replace(&transaction, account, id, &secrets).await?;
        }
        let rows = Entity::update_many()
            .set(change)
            .filter(Column::Id.eq(id.as_uuid()))
            .exec_with_returning(&transaction)
            .await?;
        let row = rows.into_iter().next().ok_or(StoreError::not_found(WHAT))?;
        let value = one(&transaction, row).await?;
        self.0.finish(transaction, events).await?;
        Ok(Changed {
            value,
            changed: true,
        })
    }

    /// For the gateway: adds names under which tools are shown for the first time, and returns all
    /// that hold. A name that was given before stays, whatever `additions` says: of two replicas
    /// that see a tool first, both then show the same.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn merge_exposed_names_unscoped(
        &self,
        id: LinkId,
        additions: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let transaction = self.0.begin().await?;
        let row = Entity::find_by_id(id.as_uuid())
            .lock_exclusive()
            .one(&transaction)
            .await?
            .ok_or(StoreError::not_found(WHAT))?;
        let mut names: BTreeMap<String, String> =
            from_json("links.exposed_names", &row.exposed_names)?;
        let before = names.len();
        for (tool, exposed) in additions {
            names.entry(tool.clone()).or_insert_with(|| exposed.clone());
        }
        if names.len() > before {
            Entity::update_many()
                .set(ActiveModel {
                    exposed_names: Set(json("links.exposed_names", &names)?),
                    ..ActiveModel::default()
                })
                .filter(Column::Id.eq(id.as_uuid()))
                .exec(&transaction)
                .await?;
            self.0.finish(transaction, &[]).await?;
        }
        Ok(names)
    }

    /// For the gateway: the names under which an agent's links show things.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn exposed_names_unscoped(
        &self,
        agent: AgentId,
    ) -> Result<BTreeMap<LinkId, BTreeMap<String, String>>, StoreError> {
        let rows = Entity::find()
            .filter(Column::AgentId.eq(agent.as_uuid()))
            .all(self.0.read())
            .await?;
        rows.into_iter()
            .map(|row| {
                let names = from_json("links.exposed_names", &row.exposed_names)?;
                Ok((row.id.into(), names))
            })
            .collect()
    }

    /// Takes a link away.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete(
        &self,
        account: AccountId,
        id: LinkId,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        let deleted = Entity::delete_many()
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::AccountId.eq(account.as_uuid()))
            .exec(&transaction)
            .await?;
        if deleted.rows_affected == 0 {
            return Err(StoreError::not_found(WHAT));
        }
        self.0.finish(transaction, events).await
    }
}

async fn one(connection: &impl ConnectionTrait, row: Model) -> Result<Link, StoreError> {
    let mut carried = carried(connection, &[row.id]).await?;
    let secrets = carried.remove(&row.id).unwrap_or_default();
    to_link(row, secrets)
}

pub(crate) fn to_link(
    row: Model,
    secrets: BTreeMap<String, LinkSecret>,
) -> Result<Link, StoreError> {
    Ok(Link {
        id: row.id.into(),
        account_id: row.account_id.into(),
        agent_id: row.agent_id.into(),
        instance_id: row.instance_id.into(),
        enabled: row.enabled,
        activated_at: time_opt("links.activated_at", row.activated_at)?,
        deactivated_at: time_opt("links.deactivated_at", row.deactivated_at)?,
        policy: from_json("links.policy", &row.policy)?,
        exposed_names: from_json("links.exposed_names", &row.exposed_names)?,
        secrets,
        created_at: time("links.created_at", row.created_at)?,
        updated_at: time("links.updated_at", row.updated_at)?,
    })
}

/// The names that a link keeps under a new policy: those of tools that the policy names anew are
/// given up, so that the gateway assigns them again.
fn still_exposed(link: &Link, policy: &LinkPolicy) -> BTreeMap<String, String> {
    if link.policy.always_prefix != policy.always_prefix {
        return BTreeMap::new();
    }
    let renamed = |key: &str| {
        // How the gateway's book writes a tool whose own name begins like one of its marks.
        let tool = key.strip_prefix("tool:").unwrap_or(key);
        link.policy.renamed_tools.get(tool) != policy.renamed_tools.get(tool)
    };
    let kept = link.exposed_names.iter().filter(|(key, _)| !renamed(key));
    kept.map(|(key, exposed)| (key.clone(), exposed.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use agentopia_domain::Ambient;

    use super::*;

    fn link(exposed: &[(&str, &str)]) -> Link {
        let ambient = Ambient::system();
        let own = |(key, name): &(&str, &str)| ((*key).to_owned(), (*name).to_owned());
        Link {
            id: ambient.new_id(),
            account_id: ambient.new_id(),
            agent_id: ambient.new_id(),
            instance_id: ambient.new_id(),
            enabled: true,
            activated_at: None,
            deactivated_at: None,
            policy: LinkPolicy::default(),
            exposed_names: exposed.iter().map(own).collect(),
            secrets: BTreeMap::new(),
            created_at: ambient.now(),
            updated_at: ambient.now(),
        }
    }

    #[test]
    fn only_what_is_named_anew_gives_its_name_up() {
        let link = link(&[("echo", "echo"), ("add", "add"), ("prompt:greet", "greet")]);
        let mut policy = LinkPolicy {
            allowed_tools: Some(vec!["echo".into()]),
            ..LinkPolicy::default()
        };
        assert_eq!(still_exposed(&link, &policy), link.exposed_names);
        policy.renamed_tools.insert("echo".into(), "say".into());
        let kept: Vec<_> = still_exposed(&link, &policy).into_keys().collect();
        assert_eq!(kept, ["add", "prompt:greet"]);
        policy.always_prefix = true;
        assert!(still_exposed(&link, &policy).is_empty());
    }
}
