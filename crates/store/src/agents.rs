//! AI agents (AGT-1).

use std::num::NonZeroU32;

use agentopia_domain::agent::Agent;
use agentopia_domain::event::NewEvent;
use agentopia_domain::name::Name;
use agentopia_domain::page::{Page, PageRequest};
use agentopia_domain::{AccountId, AgentId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use crate::convert::{fetch_limit, limit, limit_row, name, paged, time};
use crate::entity::agent::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, on_duplicate};
use crate::store::Store;

const WHAT: &str = "agent";

/// Agents. See [`Store::agents`].
#[derive(Debug, Clone, Copy)]
pub struct Agents<'a>(&'a Store);

impl Store {
    /// AI agents.
    #[must_use]
    pub fn agents(&self) -> Agents<'_> {
        Agents(self)
    }
}

/// An agent to be made.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// Its id.
    pub id: AgentId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Unique in the account.
    pub name: Name,
    /// A few sentences.
    pub description: String,
    /// Whether it sees two tools that find and call the others.
    pub search_mode: bool,
    /// How many calls it may make in a day.
    pub calls_per_day: Option<NonZeroU32>,
}

/// What to change of an agent; `None` keeps what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentPatch {
    /// Another name.
    pub name: Option<Name>,
    /// Another description.
    pub description: Option<String>,
    /// How it sees its tools from now on.
    pub search_mode: Option<bool>,
    /// How many calls it may make in a day; `Some(None)` is as many as it likes.
    pub calls_per_day: Option<Option<NonZeroU32>>,
}

impl Agents<'_> {
    /// Adds an agent.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] for a name that is taken.
    pub async fn create(&self, new: NewAgent, events: &[NewEvent]) -> Result<Agent, StoreError> {
        let now = self.0.now();
        let row = Model {
            id: new.id.as_uuid(),
            account_id: new.account_id.as_uuid(),
            name: new.name.as_str().to_owned(),
            description: new.description,
            created_at: now,
            updated_at: now,
            search_mode: new.search_mode,
            calls_per_day: limit_row(new.calls_per_day),
        };
        let transaction = self.0.begin().await?;
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(&transaction)
            .await
            .map_err(on_duplicate(WHAT, "name"))?;
        self.0.finish(transaction, events).await?;
        to_agent(row)
    }

    /// One of the account's agents.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(&self, account: AccountId, id: AgentId) -> Result<Agent, StoreError> {
        let row = Entity::find_by_id(id.as_uuid())
            .filter(Column::AccountId.eq(account.as_uuid()))
            .one(self.0.read())
            .await?;
        to_agent(row.ok_or(StoreError::not_found(WHAT))?)
    }

    /// The same by name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn by_name(&self, account: AccountId, name: &Name) -> Result<Agent, StoreError> {
        let row = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .filter(Column::Name.eq(name.as_str()))
            .one(self.0.read())
            .await?;
        to_agent(row.ok_or(StoreError::not_found(WHAT))?)
    }

    /// For service-to-service calls, which know nothing but the id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get_unscoped(&self, id: AgentId) -> Result<Agent, StoreError> {
        let row = Entity::find_by_id(id.as_uuid()).one(self.0.read()).await?;
        to_agent(row.ok_or(StoreError::not_found(WHAT))?)
    }

    /// The account's agents, in the order they were made.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        account: AccountId,
        page: PageRequest,
    ) -> Result<Page<Agent>, StoreError> {
        let mut query = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .order_by_asc(Column::Id);
        if let Some(after) = page.after {
            query = query.filter(Column::Id.gt(after));
        }
        let rows = query.limit(fetch_limit(page)).all(self.0.read()).await?;
        paged(rows, page, |row| row.id, to_agent)
    }

    /// Changes what the patch names.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Duplicate`].
    pub async fn update(
        &self,
        account: AccountId,
        id: AgentId,
        patch: AgentPatch,
        events: &[NewEvent],
    ) -> Result<Agent, StoreError> {
        let mut change = ActiveModel {
            updated_at: Set(self.0.now()),
            ..ActiveModel::default()
        };
        if let Some(name) = patch.name {
            change.name = Set(name.as_str().to_owned());
        }
        if let Some(description) = patch.description {
            change.description = Set(description);
        }
        if let Some(search_mode) = patch.search_mode {
            change.search_mode = Set(search_mode);
        }
        if let Some(limit) = patch.calls_per_day {
            change.calls_per_day = Set(limit_row(limit));
        }
        let transaction = self.0.begin().await?;
        let rows = Entity::update_many()
            .set(change)
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::AccountId.eq(account.as_uuid()))
            .exec_with_returning(&transaction)
            .await
            .map_err(on_duplicate(WHAT, "name"))?;
        let row = rows.into_iter().next().ok_or(StoreError::not_found(WHAT))?;
        self.0.finish(transaction, events).await?;
        to_agent(row)
    }

    /// Takes the agent away, with its links and tokens.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete(
        &self,
        account: AccountId,
        id: AgentId,
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

pub(crate) fn to_agent(row: Model) -> Result<Agent, StoreError> {
    Ok(Agent {
        id: row.id.into(),
        account_id: row.account_id.into(),
        name: name("agents.name", row.name)?,
        description: row.description,
        search_mode: row.search_mode,
        calls_per_day: limit("agents.calls_per_day", row.calls_per_day)?,
        created_at: time("agents.created_at", row.created_at)?,
        updated_at: time("agents.updated_at", row.updated_at)?,
    })
}
