//! The lease on a login's refresh token, and the tokens that it is exchanged for.

use std::time::Duration;

use agentopia_domain::InstanceId;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::{RenewedTokens, UpstreamLogins};
use crate::convert::{micros, span};
use crate::entity::upstream_login::{ActiveModel, Column, Entity};
use crate::error::StoreError;

impl UpstreamLogins<'_> {
    /// Who may exchange the refresh token of `sealed_id` for the next `ttl`: `owner`, if this returns
    /// true, and nobody else.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn claim(
        &self,
        instance: InstanceId,
        sealed_id: Uuid,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let now = self.0.now_sql();
        let transaction = self.0.begin().await?;
        let done = Entity::update_many()
            .col_expr(Column::LeaseOwner, Expr::value(owner))
            .col_expr(Column::LeaseUntil, Expr::cust(now.clone()).add(span(ttl)))
            .filter(Column::InstanceId.eq(instance.as_uuid()))
            .filter(Column::SealedId.eq(sealed_id))
            .filter(Column::Sealed.is_not_null())
            .filter(
                Column::LeaseUntil
                    .is_null()
                    .or(Expr::col(Column::LeaseUntil).lte(Expr::cust(now))),
            )
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        Ok(done.rows_affected > 0)
    }

    /// Gives a claim back: the exchange failed in a way that may be over soon.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn release(&self, instance: InstanceId, owner: Uuid) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        Entity::update_many()
            .set(ActiveModel {
                lease_owner: Set(None),
                lease_until: Set(None),
                ..ActiveModel::default()
            })
            .filter(Column::InstanceId.eq(instance.as_uuid()))
            .filter(Column::LeaseOwner.eq(owner))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await
    }

    /// Puts `new` in the place of the tokens `old`, which `owner` claimed.
    ///
    /// # Errors
    /// [`StoreError::Stale`] where they are others by now: somebody logged in or out meanwhile.
    pub async fn renewed(
        &self,
        instance: InstanceId,
        old: Uuid,
        owner: Uuid,
        new: RenewedTokens,
    ) -> Result<(), StoreError> {
        let mut change = ActiveModel {
            sealed_id: Set(new.sealed_id),
            sealed: Set(Some(new.sealed)),
            renew_at: Set(new.renew_at.map(micros)),
            expires_at: Set(new.expires_at.map(micros)),
            lease_owner: Set(None),
            lease_until: Set(None),
            updated_at: Set(self.0.now()),
            ..ActiveModel::default()
        };
        if new.scope.is_some() {
            change.scope = Set(new.scope);
        }
        let transaction = self.0.begin().await?;
        let done = Entity::update_many()
            .set(change)
            .filter(Column::InstanceId.eq(instance.as_uuid()))
            .filter(Column::SealedId.eq(old))
            .filter(Column::LeaseOwner.eq(owner))
            .exec(&transaction)
            .await?;
        if done.rows_affected == 0 {
            return Err(StoreError::Stale { what: "login" });
        }
        self.0.finish(transaction, &[]).await
    }
}
