//! Logins at servers that run elsewhere: sealed tokens, one login an instance (AGT-7).
//!
//! A refresh token may be good for one use, so of all replicas one at a time exchanges it:
//! [`UpstreamLogins::claim`] gives a lease by the database's clock, and whatever is written carries the
//! id of the sealed value that it replaces ([`renewal`]). Logins that were begun are in [`attempts`].

mod attempts;
mod renewal;
mod row;

use agentopia_domain::event::NewEvent;
use agentopia_domain::{AccountId, InstanceId};
use sea_orm::sea_query::{ExprTrait as _, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use crate::convert::micros;
use crate::entity::instance;
use crate::entity::upstream_login::{ActiveModel, Column, Entity, Model};
use crate::entity::upstream_login_attempt;
use crate::error::StoreError;
use crate::instances::start_afresh;
use crate::leases::{self, LeaseKind};
use crate::seam::Transaction;
use crate::store::Store;

pub use attempts::LoginAttempt;
pub use row::{LoginProblem, NewLoginTokens, RenewedTokens, UpstreamLogin};

use row::to_login;

/// Logins at servers that run elsewhere. See [`Store::upstream_logins`].
#[derive(Debug, Clone, Copy)]
pub struct UpstreamLogins<'a>(&'a Store);

impl Store {
    /// Logins at servers that run elsewhere.
    #[must_use]
    pub fn upstream_logins(&self) -> UpstreamLogins<'_> {
        UpstreamLogins(self)
    }
}

impl UpstreamLogins<'_> {
    /// The login of an instance.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn get_unscoped(
        &self,
        instance: InstanceId,
    ) -> Result<Option<UpstreamLogin>, StoreError> {
        let row = Entity::find_by_id(instance.as_uuid())
            .one(self.0.read())
            .await?;
        row.map(to_login).transpose()
    }

    /// All logins of an account.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn of_account(&self, account: AccountId) -> Result<Vec<UpstreamLogin>, StoreError> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .all(self.0.read())
            .await?;
        rows.into_iter().map(to_login).collect()
    }

    /// Keeps the tokens of a login, in place of whatever was there, and has the instance start afresh.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the account has no such instance, or it is gone.
    pub async fn put(&self, new: NewLoginTokens, events: &[NewEvent]) -> Result<(), StoreError> {
        let now = self.0.now();
        let (given_id, given) = new.given.unzip();
        let row = Model {
            given_id,
            given,
            instance_id: new.instance_id.as_uuid(),
            account_id: new.account_id.as_uuid(),
            sealed_id: new.tokens.sealed_id,
            sealed: Some(new.tokens.sealed),
            issuer: Some(new.issuer),
            client_id: Some(new.client_id),
            scope: new.tokens.scope,
            wanted_scope: None,
            problem: None,
            renew_at: new.tokens.renew_at.map(micros),
            expires_at: new.tokens.expires_at.map(micros),
            logged_in_at: Some(now),
            lease_owner: None,
            lease_until: None,
            updated_at: now,
        };
        let transaction = self.0.begin().await?;
        // Locks the row, so that nobody removes the instance in between.
        start_afresh(&transaction, new.instance_id, now).await?;
        check_owned(&transaction, new.account_id, new.instance_id).await?;
        Entity::delete_by_id(new.instance_id.as_uuid())
            .exec(&transaction)
            .await?;
        Entity::insert(ActiveModel::from(row))
            .exec_without_returning(&transaction)
            .await?;
        self.0.finish(transaction, events).await
    }

    /// Writes down that the owner has to log in, and wakes the instance's reconciler. `seen` is the
    /// sealed value that did not do, `None` where nobody was logged in. Returns false, and writes
    /// nothing, where something else is stored by now, or this was known.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn needed(
        &self,
        account: AccountId,
        instance: InstanceId,
        seen: Option<Uuid>,
        problem: LoginProblem,
        events: &[NewEvent],
    ) -> Result<bool, StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        // The instance first, as everywhere.
        leases::wake(&transaction, LeaseKind::Instance, instance.as_uuid()).await?;
        let written = if let Some(seen) = seen {
            let mut change = ActiveModel {
                problem: Set(Some(problem.text.clone())),
                wanted_scope: Set(problem.wanted_scope),
                lease_owner: Set(None),
                lease_until: Set(None),
                updated_at: Set(now),
                ..ActiveModel::default()
            };
            if problem.forget_tokens {
                change.sealed = Set(None);
                change.renew_at = Set(None);
                change.expires_at = Set(None);
            }
            let done = Entity::update_many()
                .set(change)
                .filter(Column::InstanceId.eq(instance.as_uuid()))
                .filter(Column::SealedId.eq(seen))
                .filter(Column::Sealed.is_not_null())
                .filter(
                    Column::Problem
                        .is_null()
                        .or(Column::Problem.ne(problem.text.clone())),
                )
                .exec(&transaction)
                .await?;
            done.rows_affected > 0
        } else {
            let row = ActiveModel {
                instance_id: Set(instance.as_uuid()),
                account_id: Set(account.as_uuid()),
                sealed_id: Set(self.0.ambient().new_id()),
                problem: Set(Some(problem.text)),
                wanted_scope: Set(problem.wanted_scope),
                updated_at: Set(now),
                ..ActiveModel::default()
            };
            let nothing = OnConflict::column(Column::InstanceId)
                .do_nothing()
                .to_owned();
            let done = Entity::insert(row)
                .on_conflict(nothing)
                .exec_without_returning(&transaction)
                .await?;
            done > 0
        };
        if !written {
            return Ok(false);
        }
        self.0.finish(transaction, events).await?;
        Ok(true)
    }

    /// Takes the login of an instance away and has the instance start afresh; returns what was there.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn delete(
        &self,
        account: AccountId,
        instance: InstanceId,
        events: &[NewEvent],
    ) -> Result<UpstreamLogin, StoreError> {
        let transaction = self.0.begin().await?;
        start_afresh(&transaction, instance, self.0.now()).await?;
        let rows = Entity::delete_many()
            .filter(Column::InstanceId.eq(instance.as_uuid()))
            .filter(Column::AccountId.eq(account.as_uuid()))
            .exec_with_returning(&transaction)
            .await?;
        let row = rows.into_iter().next();
        let login = to_login(row.ok_or(StoreError::not_found("login"))?)?;
        self.0.finish(transaction, events).await?;
        Ok(login)
    }
}

/// As part of an instance's removal.
pub(crate) async fn forget(
    transaction: &Transaction,
    instance: InstanceId,
) -> Result<(), StoreError> {
    Entity::delete_by_id(instance.as_uuid())
        .exec(transaction)
        .await?;
    upstream_login_attempt::Entity::delete_by_id(instance.as_uuid())
        .exec(transaction)
        .await?;
    Ok(())
}

/// Refuses instances of other accounts, and those that go away.
async fn check_owned(
    transaction: &Transaction,
    account: AccountId,
    id: InstanceId,
) -> Result<(), StoreError> {
    let found = instance::Entity::find_by_id(id.as_uuid())
        .filter(instance::Column::AccountId.eq(account.as_uuid()))
        .filter(instance::Column::Desired.ne("removed"))
        .one(transaction)
        .await?;
    found.map(|_| ()).ok_or(StoreError::not_found("instance"))
}
