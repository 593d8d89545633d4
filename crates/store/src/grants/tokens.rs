//! Codes and tokens of grants: found by their hash, used once by a conditional update.

use std::collections::HashMap;

use agentopia_domain::event::NewEvent;
use agentopia_domain::oauth::Grant;
use agentopia_domain::token::TokenHash;
use agentopia_domain::{AgentId, GrantId};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::row::{Code, LoginToken, to_code, to_grant};
use super::{Column, Entity, Grants};
use crate::convert::{corrupt, from_word, micros, time, time_opt, word};
use crate::entity::{grant, grant_token};
use crate::error::StoreError;
use crate::seam::Transaction;

/// How long the gateway hears of access tokens that are over: MCP sessions are bound to the grant,
/// and one of a client that comes back with the next token goes on.
const AFTERLIFE: TimeDelta = TimeDelta::days(1);

/// What a token of a grant is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantTokenKind {
    /// Opens the endpoint.
    Access,
    /// Is turned into the next pair.
    Refresh,
}

/// A token to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewGrantToken {
    /// The token's hash.
    pub hash: TokenHash,
    /// What it is for.
    pub kind: GrantTokenKind,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
}

/// A token that somebody presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundToken {
    /// What it belongs to.
    pub grant: Grant,
    /// What it is for.
    pub kind: GrantTokenKind,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
    /// When it was turned into the next pair.
    pub used_at: Option<DateTime<Utc>>,
}

impl Grants<'_> {
    /// The code with this hash, of whatever account, also when it is over.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn by_code_unscoped(&self, hash: TokenHash) -> Result<Option<Code>, StoreError> {
        let row = Entity::find()
            .filter(Column::CodeHash.eq(hash.to_hex()))
            .one(self.0.read())
            .await?;
        row.map(to_code).transpose()
    }

    /// The token with this hash, of whatever account, also when it or its grant is over.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn by_token_unscoped(
        &self,
        hash: TokenHash,
    ) -> Result<Option<FoundToken>, StoreError> {
        let row = grant_token::Entity::find_by_id(hash.to_hex())
            .one(self.0.read())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let of = Entity::find_by_id(row.grant_id).one(self.0.read()).await?;
        let Some(of) = of else { return Ok(None) };
        Ok(Some(FoundToken {
            grant: to_grant(of)?,
            kind: from_word("oauth_tokens.kind", &row.kind)?,
            expires_at: time("oauth_tokens.expires_at", row.expires_at)?,
            used_at: time_opt("oauth_tokens.used_at", row.used_at)?,
        }))
    }

    /// Turns a code into its first tokens; of many at the same moment, one. False where it was used,
    /// is over, or the grant was taken back.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn redeem_unscoped(
        &self,
        id: GrantId,
        tokens: &[NewGrantToken],
        events: &[NewEvent],
    ) -> Result<bool, StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        let done = Entity::update_many()
            .set(grant::ActiveModel {
                redeemed_at: Set(Some(now)),
                last_used_at: Set(Some(now)),
                expires_at: Set(end(tokens)),
                ..grant::ActiveModel::default()
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::RedeemedAt.is_null())
            .filter(Column::RevokedAt.is_null())
            .filter(Column::CodeExpiresAt.gt(now))
            .exec(&transaction)
            .await?;
        if done.rows_affected != 1 {
            return Ok(false);
        }
        self.insert(&transaction, id, tokens).await?;
        self.0.finish(transaction, events).await?;
        Ok(true)
    }

    /// Turns the refresh token `used` into the next tokens; of many at the same moment, one. False
    /// where it was used, is over, or the grant was taken back.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn rotate_unscoped(
        &self,
        id: GrantId,
        used: TokenHash,
        tokens: &[NewGrantToken],
    ) -> Result<bool, StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        let live = Entity::update_many()
            .set(grant::ActiveModel {
                last_used_at: Set(Some(now)),
                expires_at: Set(end(tokens)),
                ..grant::ActiveModel::default()
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::RevokedAt.is_null())
            .filter(Column::ExpiresAt.gt(now))
            .exec(&transaction)
            .await?;
        let turned = grant_token::Entity::update_many()
            .set(grant_token::ActiveModel {
                used_at: Set(Some(now)),
                ..grant_token::ActiveModel::default()
            })
            .filter(grant_token::Column::TokenHash.eq(used.to_hex()))
            .filter(grant_token::Column::GrantId.eq(id.as_uuid()))
            .filter(grant_token::Column::Kind.eq(word(&GrantTokenKind::Refresh)))
            .filter(grant_token::Column::UsedAt.is_null())
            .filter(grant_token::Column::ExpiresAt.gt(now))
            .exec(&transaction)
            .await?;
        if live.rows_affected != 1 || turned.rows_affected != 1 {
            return Ok(false);
        }
        self.insert(&transaction, id, tokens).await?;
        self.0.finish(transaction, &[]).await?;
        Ok(true)
    }

    async fn insert(
        &self,
        transaction: &Transaction,
        id: GrantId,
        tokens: &[NewGrantToken],
    ) -> Result<(), StoreError> {
        let now = self.0.now();
        for token in tokens {
            let row = grant_token::Model {
                token_hash: token.hash.to_hex(),
                grant_id: id.as_uuid(),
                kind: word(&token.kind),
                created_at: now,
                expires_at: micros(token.expires_at),
                used_at: None,
            };
            grant_token::Entity::insert(grant_token::ActiveModel::from(row))
                .exec_without_returning(transaction)
                .await?;
        }
        Ok(())
    }
}

/// The grant lasts as long as its longest token.
fn end(tokens: &[NewGrantToken]) -> i64 {
    let ends = tokens.iter().map(|token| micros(token.expires_at));
    ends.max().unwrap_or(0)
}

/// The access tokens of live grants to agents' endpoints, for the gateway; `shut_out` says whose
/// open nothing.
pub(crate) async fn login_tokens(
    transaction: &Transaction,
    now: i64,
    shut_out: impl Fn(&grant::Model) -> bool,
) -> Result<Vec<LoginToken>, StoreError> {
    let live: HashMap<Uuid, AgentId> = Entity::find()
        .filter(Column::RevokedAt.is_null())
        .filter(Column::RedeemedAt.is_not_null())
        .filter(Column::AgentId.is_not_null())
        .filter(Column::ExpiresAt.gt(now))
        .all(transaction)
        .await?
        .into_iter()
        .filter(|grant| !shut_out(grant))
        .filter_map(|grant| Some((grant.id, AgentId::from(grant.agent_id?))))
        .collect();
    if live.is_empty() {
        return Ok(Vec::new());
    }
    let since = now - AFTERLIFE.num_microseconds().unwrap_or(0);
    let tokens = grant_token::Entity::find()
        .filter(grant_token::Column::Kind.eq(word(&GrantTokenKind::Access)))
        .filter(grant_token::Column::ExpiresAt.gt(since))
        .all(transaction)
        .await?;
    let mut found = Vec::new();
    for token in tokens {
        if let Some(agent_id) = live.get(&token.grant_id) {
            found.push(LoginToken {
                hash: TokenHash::from_hex(&token.token_hash)
                    .ok_or_else(|| corrupt("oauth_tokens.token_hash", "no hash"))?,
                agent_id: *agent_id,
                grant_id: token.grant_id.into(),
                expires_at: time("oauth_tokens.expires_at", token.expires_at)?,
            });
        }
    }
    Ok(found)
}
