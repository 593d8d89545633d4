//! What people allowed MCP clients (AGT-7): grants, their codes and tokens.
//!
//! One use of a code and of a refresh token is a property of the database: an update that must
//! change exactly one row ([`tokens`]). Who presents one twice ends the grant.

mod row;
mod tokens;

use agentopia_domain::event::NewEvent;
use agentopia_domain::oauth::{Audience, ClientShown, Grant};
use agentopia_domain::page::{Page, PageRequest};
use agentopia_domain::token::TokenHash;
use agentopia_domain::{AccountId, AgentId, GrantId, InstanceId, UserId};
use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::convert::{fetch_limit, micros, paged};
use crate::entity::grant::{ActiveModel, Column, Entity, Model};
use crate::entity::grant_token;
use crate::error::{StoreError, on_missing};
use crate::store::{Changed, Store};
use crate::users::hold_unchanged;
use row::to_grant;

pub use row::{Code, LoginToken};
pub use tokens::{FoundToken, GrantTokenKind, NewGrantToken};

pub(crate) use tokens::login_tokens;

const WHAT: &str = "grant";

/// Grants. See [`Store::grants`].
#[derive(Debug, Clone, Copy)]
pub struct Grants<'a>(&'a Store);

impl Store {
    /// What people allowed MCP clients.
    #[must_use]
    pub fn grants(&self) -> Grants<'_> {
        Grants(self)
    }
}

/// A consent to be stored, with its code.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// Its id.
    pub id: GrantId,
    /// Whose endpoint it opens; the agent or instance has to be of the same account.
    pub account_id: AccountId,
    /// Who agreed.
    pub user_id: UserId,
    /// When the record of that user last changed, as it was when they were let in.
    pub user_updated_at: DateTime<Utc>,
    /// What it opens.
    pub audience: Audience,
    /// The same as an address.
    pub resource: String,
    /// Whom it is given.
    pub client: ClientShown,
    /// Where the code is sent to.
    pub redirect_uri: String,
    /// The code's hash.
    pub code_hash: TokenHash,
    /// What the code's redeemer has to know the origin of (RFC 7636, S256).
    pub code_challenge: String,
    /// When the code is worth nothing any more, and with it the grant unless it was redeemed.
    pub code_expires_at: DateTime<Utc>,
}

/// Which grants are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GrantFilter {
    /// All.
    #[default]
    All,
    /// Those that open this agent's endpoint.
    Agent(AgentId),
    /// Those that open this instance's endpoint.
    Instance(InstanceId),
}

impl Grants<'_> {
    /// Stores a consent.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the agent is not the account's, [`StoreError::Stale`] when the user's
    /// password changed since they were let in, or they are shut out.
    pub async fn create(&self, new: NewGrant, events: &[NewEvent]) -> Result<Grant, StoreError> {
        let row = Model {
            id: new.id.as_uuid(),
            account_id: new.account_id.as_uuid(),
            user_id: new.user_id.as_uuid(),
            agent_id: new.audience.agent().map(AgentId::as_uuid),
            instance_id: new.audience.instance().map(InstanceId::as_uuid),
            resource: new.resource,
            client_id: new.client.id,
            client_name: new.client.name,
            client_host: new.client.host,
            redirect_uri: new.redirect_uri,
            code_hash: new.code_hash.to_hex(),
            code_challenge: new.code_challenge,
            code_expires_at: micros(new.code_expires_at),
            redeemed_at: None,
            last_used_at: None,
            created_at: self.0.now(),
            expires_at: micros(new.code_expires_at),
            revoked_at: None,
        };
        let transaction = self.0.begin().await?;
        hold_unchanged(&transaction, new.user_id, new.user_updated_at).await?;
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(&transaction)
            .await
            .map_err(on_missing("agent"))?;
        self.0.finish(transaction, events).await?;
        to_grant(row)
    }

    /// The account's grants that open something now.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        account: AccountId,
        filter: GrantFilter,
        page: PageRequest,
    ) -> Result<Page<Grant>, StoreError> {
        let mut condition = Condition::all()
            .add(Column::AccountId.eq(account.as_uuid()))
            .add(Column::RevokedAt.is_null())
            .add(Column::RedeemedAt.is_not_null())
            .add(Column::ExpiresAt.gt(self.0.now()));
        match filter {
            GrantFilter::All => {}
            GrantFilter::Agent(id) => condition = condition.add(Column::AgentId.eq(id.as_uuid())),
            GrantFilter::Instance(id) => {
                condition = condition.add(Column::InstanceId.eq(id.as_uuid()));
            }
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
        paged(rows, page, |row| row.id, to_grant)
    }

    /// One grant of the account, also when it is over.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(&self, account: AccountId, id: GrantId) -> Result<Grant, StoreError> {
        let row = Entity::find_by_id(id.as_uuid())
            .filter(Column::AccountId.eq(account.as_uuid()))
            .one(self.0.read())
            .await?;
        to_grant(row.ok_or(StoreError::not_found(WHAT))?)
    }

    /// Takes a grant back, with its code and all its tokens. Doing it twice changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke(
        &self,
        account: AccountId,
        id: GrantId,
        events: &[NewEvent],
    ) -> Result<Changed<Grant>, StoreError> {
        let transaction = self.0.begin().await?;
        let rows = Entity::update_many()
            .set(ActiveModel {
                revoked_at: Set(Some(self.0.now())),
                ..ActiveModel::default()
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::AccountId.eq(account.as_uuid()))
            .filter(Column::RevokedAt.is_null())
            .exec_with_returning(&transaction)
            .await?;
        let Some(row) = rows.into_iter().next() else {
            drop(transaction);
            return Ok(Changed {
                value: self.get(account, id).await?,
                changed: false,
            });
        };
        self.0.finish(transaction, events).await?;
        Ok(Changed {
            value: to_grant(row)?,
            changed: true,
        })
    }

    /// Drops grants that were over before `before`, and tokens that were; returns how many rows.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn prune(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let before = micros(before);
        let transaction = self.0.begin().await?;
        let tokens = grant_token::Entity::delete_many()
            .filter(grant_token::Column::ExpiresAt.lt(before))
            .exec(&transaction)
            .await?;
        let grants = Entity::delete_many()
            .filter(
                Column::ExpiresAt
                    .lt(before)
                    .or(Column::RevokedAt.lt(before)),
            )
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        Ok(tokens.rows_affected + grants.rows_affected)
    }
}

/// Ends all grants of a person, in the transaction that shuts them out or changes their password.
pub(crate) async fn revoke_all_of(
    transaction: &crate::seam::Transaction,
    user: UserId,
    now: i64,
) -> Result<(), StoreError> {
    Entity::update_many()
        .set(ActiveModel {
            revoked_at: Set(Some(now)),
            ..ActiveModel::default()
        })
        .filter(Column::UserId.eq(user.as_uuid()))
        .filter(Column::RevokedAt.is_null())
        .exec(transaction)
        .await?;
    Ok(())
}
