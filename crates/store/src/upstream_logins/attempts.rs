//! Logins that were begun: at most one an instance, each good for one return of the browser.

use agentopia_domain::token::TokenHash;
use agentopia_domain::{AccountId, InstanceId};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::{UpstreamLogins, check_owned};
use crate::convert::{corrupt, micros, time};
use crate::entity::upstream_login_attempt::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;

/// A login that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginAttempt {
    /// Whose server.
    pub instance_id: InstanceId,
    /// Who began it.
    pub account_id: AccountId,
    /// Of what the browser brings back.
    pub state_hash: TokenHash,
    /// Of what only the owner's browser has; none before it was seen.
    pub browser_hash: Option<TokenHash>,
    /// Made anew with each sealed value.
    pub sealed_id: Uuid,
    /// What the code is redeemed with, sealed.
    pub sealed: Vec<u8>,
    /// When it is over.
    pub expires_at: DateTime<Utc>,
}

impl UpstreamLogins<'_> {
    /// Begins a login; one that was begun before is over.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the account has no such instance, or it is gone.
    pub async fn begin(&self, new: LoginAttempt) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        check_owned(&transaction, new.account_id, new.instance_id).await?;
        Entity::delete_by_id(new.instance_id.as_uuid())
            .exec(&transaction)
            .await?;
        Entity::insert(ActiveModel::from(Model {
            instance_id: new.instance_id.as_uuid(),
            account_id: new.account_id.as_uuid(),
            state_hash: new.state_hash.to_hex(),
            browser_hash: new.browser_hash.map(TokenHash::to_hex),
            sealed_id: new.sealed_id,
            sealed: new.sealed,
            created_at: self.0.now(),
            expires_at: micros(new.expires_at),
        }))
        .exec_without_returning(&transaction)
        .await
        .map_err(crate::error::on_duplicate("login", "state"))?;
        self.0.finish(transaction, &[]).await
    }

    /// The login that was begun with this state, if it is not over.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn begun_unscoped(
        &self,
        state: TokenHash,
    ) -> Result<Option<LoginAttempt>, StoreError> {
        let row = Entity::find()
            .filter(Column::StateHash.eq(state.to_hex()))
            .filter(Column::ExpiresAt.gt(self.0.now()))
            .one(self.0.read())
            .await?;
        row.map(to_attempt).transpose()
    }

    /// From now on only the browser that has this may come back with the state.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn bind(
        &self,
        account: AccountId,
        state: TokenHash,
        browser: TokenHash,
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        let done = Entity::update_many()
            .set(ActiveModel {
                browser_hash: Set(Some(browser.to_hex())),
                ..ActiveModel::default()
            })
            .filter(Column::StateHash.eq(state.to_hex()))
            .filter(Column::AccountId.eq(account.as_uuid()))
            .exec(&transaction)
            .await?;
        if done.rows_affected == 0 {
            return Err(StoreError::not_found("login"));
        }
        self.0.finish(transaction, &[]).await
    }

    /// Takes the login that was begun with this state in this browser: of any number of callers one
    /// gets it, once.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn take_unscoped(
        &self,
        state: TokenHash,
        browser: TokenHash,
    ) -> Result<Option<LoginAttempt>, StoreError> {
        let transaction = self.0.begin().await?;
        let rows = Entity::delete_many()
            .filter(Column::StateHash.eq(state.to_hex()))
            .filter(Column::BrowserHash.eq(browser.to_hex()))
            .filter(Column::ExpiresAt.gt(self.0.now()))
            .exec_with_returning(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        rows.into_iter().next().map(to_attempt).transpose()
    }

    /// Drops what was over before `before`.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn prune(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let transaction = self.0.begin().await?;
        let deleted = Entity::delete_many()
            .filter(Column::ExpiresAt.lt(micros(before)))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        Ok(deleted.rows_affected)
    }
}

fn to_attempt(row: Model) -> Result<LoginAttempt, StoreError> {
    let hash =
        |column, text: &str| TokenHash::from_hex(text).ok_or_else(|| corrupt(column, "no hash"));
    let browser = row.browser_hash.as_deref();
    Ok(LoginAttempt {
        instance_id: row.instance_id.into(),
        account_id: row.account_id.into(),
        state_hash: hash("upstream_login_attempts.state_hash", &row.state_hash)?,
        browser_hash: browser
            .map(|text| hash("upstream_login_attempts.browser_hash", text))
            .transpose()?,
        sealed_id: row.sealed_id,
        sealed: row.sealed,
        expires_at: time("upstream_login_attempts.expires_at", row.expires_at)?,
    })
}
