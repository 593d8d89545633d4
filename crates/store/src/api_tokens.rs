//! Personal and agent tokens, stored and looked up by hash (SEC-4, AGT-1).

use agentopia_domain::event::NewEvent;
use agentopia_domain::name::Name;
use agentopia_domain::page::{Page, PageRequest};
use agentopia_domain::token::{ApiToken, TokenHash, TokenSubject};
use agentopia_domain::{AccountId, AgentId, ApiTokenId, UserId};
use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::convert::{corrupt, fetch_limit, from_json, json, micros, name, paged, time, time_opt};
use crate::entity::api_token::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, on_missing};
use crate::store::{Changed, Store};

/// A use is noted at most this often, in microseconds.
const TOUCH_INTERVAL: i64 = 60_000_000;

/// API tokens. See [`Store::api_tokens`].
#[derive(Debug, Clone, Copy)]
pub struct ApiTokens<'a>(&'a Store);

impl Store {
    /// API tokens, personal and of agents.
    #[must_use]
    pub fn api_tokens(&self) -> ApiTokens<'_> {
        ApiTokens(self)
    }
}

/// A token to be stored.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// Its id.
    pub id: ApiTokenId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Who made it.
    pub user_id: UserId,
    /// What it is for.
    pub name: Name,
    /// Whom it speaks for; an agent has to be of the same account.
    pub subject: TokenSubject,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// The token's hash.
    pub hash: TokenHash,
}

/// A token's record with its hash, for the gateway's route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// The record.
    pub token: ApiToken,
    /// The token's hash.
    pub hash: TokenHash,
}

/// Which tokens are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenFilter {
    /// All.
    #[default]
    All,
    /// Personal ones.
    Personal,
    /// Those of one agent.
    Agent(AgentId),
}

impl ApiTokens<'_> {
    /// Stores a token.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the agent is not the account's.
    pub async fn create(
        &self,
        new: NewApiToken,
        events: &[NewEvent],
    ) -> Result<ApiToken, StoreError> {
        let (scopes, agent_id) = match &new.subject {
            TokenSubject::Personal { scopes } => (Some(json("api_tokens.scopes", scopes)?), None),
            TokenSubject::Agent(agent) => (None, Some(agent.as_uuid())),
        };
        let row = Model {
            id: new.id.as_uuid(),
            account_id: new.account_id.as_uuid(),
            user_id: new.user_id.as_uuid(),
            name: new.name.as_str().to_owned(),
            token_hash: new.hash.to_hex(),
            scopes,
            agent_id,
            expires_at: new.expires_at.map(micros),
            revoked_at: None,
            last_used_at: None,
            created_at: self.0.now(),
        };
        let transaction = self.0.begin().await?;
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(&transaction)
            .await
            .map_err(on_missing("agent"))?;
        self.0.finish(transaction, events).await?;
        to_token(row)
    }

    /// The token with this hash, of whatever account, also when it is expired or revoked: check
    /// [`ApiToken::is_valid`] and that its user is not disabled.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn by_hash_unscoped(&self, hash: TokenHash) -> Result<Option<ApiToken>, StoreError> {
        let row = Entity::find()
            .filter(Column::TokenHash.eq(hash.to_hex()))
            .one(self.0.read())
            .await?;
        row.map(to_token).transpose()
    }

    /// One token of the account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(&self, account: AccountId, id: ApiTokenId) -> Result<ApiToken, StoreError> {
        let row = Entity::find_by_id(id.as_uuid())
            .filter(Column::AccountId.eq(account.as_uuid()))
            .one(self.0.read())
            .await?;
        to_token(row.ok_or(StoreError::not_found("token"))?)
    }

    /// The account's tokens, revoked ones too.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        account: AccountId,
        filter: TokenFilter,
        page: PageRequest,
    ) -> Result<Page<ApiToken>, StoreError> {
        let mut condition = Condition::all().add(Column::AccountId.eq(account.as_uuid()));
        match filter {
            TokenFilter::All => {}
            TokenFilter::Personal => condition = condition.add(Column::AgentId.is_null()),
            TokenFilter::Agent(agent) => {
                condition = condition.add(Column::AgentId.eq(agent.as_uuid()));
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
        paged(rows, page, |row| row.id, to_token)
    }

    /// Takes a token back. Doing it twice changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke(
        &self,
        account: AccountId,
        id: ApiTokenId,
        events: &[NewEvent],
    ) -> Result<Changed<ApiToken>, StoreError> {
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
            value: to_token(row)?,
            changed: true,
        })
    }

    /// Notes that a token was used, at most once a minute.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn touch_unscoped(&self, id: ApiTokenId) -> Result<(), StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        Entity::update_many()
            .set(ActiveModel {
                last_used_at: Set(Some(now)),
                ..ActiveModel::default()
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(
                Column::LastUsedAt
                    .is_null()
                    .or(Column::LastUsedAt.lte(now - TOUCH_INTERVAL)),
            )
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await
    }
}

pub(crate) fn to_stored(row: Model) -> Result<StoredToken, StoreError> {
    let hash = TokenHash::from_hex(&row.token_hash)
        .ok_or_else(|| corrupt("api_tokens.token_hash", "no hash"))?;
    Ok(StoredToken {
        token: to_token(row)?,
        hash,
    })
}

fn to_token(row: Model) -> Result<ApiToken, StoreError> {
    let subject = match (row.agent_id, &row.scopes) {
        (Some(agent), None) => TokenSubject::Agent(agent.into()),
        (None, Some(scopes)) => TokenSubject::Personal {
            scopes: from_json("api_tokens.scopes", scopes)?,
        },
        _ => {
            return Err(corrupt(
                "api_tokens.scopes",
                "neither personal nor an agent's",
            ));
        }
    };
    Ok(ApiToken {
        id: row.id.into(),
        account_id: row.account_id.into(),
        user_id: row.user_id.into(),
        name: name("api_tokens.name", row.name)?,
        subject,
        expires_at: time_opt("api_tokens.expires_at", row.expires_at)?,
        revoked_at: time_opt("api_tokens.revoked_at", row.revoked_at)?,
        last_used_at: time_opt("api_tokens.last_used_at", row.last_used_at)?,
        created_at: time("api_tokens.created_at", row.created_at)?,
    })
}
