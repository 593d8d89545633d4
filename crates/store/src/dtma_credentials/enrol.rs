//! The first two steps of a credential's life: a one-time token is made, and redeemed once.

use agentopia_domain::event::NewEvent;
use agentopia_domain::token::TokenHash;
use agentopia_domain::{AccountId, CredentialId, EnvironmentId};
use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _};

use super::record::{DtmaCredential, to_credential};
use super::{DtmaCredentials, WHAT, find, is, revoke};
use crate::convert::micros;
use crate::entity::dtma_credential::{ActiveModel, Column, Entity};
use crate::environments;
use crate::error::{StoreError, on_missing_or_duplicate};
use crate::leases::{self, LeaseKind};

/// A one-time token to be stored.
#[derive(Debug, Clone)]
pub struct NewEnrolment {
    /// The credential's id.
    pub id: CredentialId,
    /// The environment, of `account_id`.
    pub environment_id: EnvironmentId,
    /// Whose it is.
    pub account_id: AccountId,
    /// The token's hash.
    pub enrolment_hash: TokenHash,
    /// When the token ends; at most 15 minutes from now (security.md).
    pub expires_at: DateTime<Utc>,
}

/// What a machine that enrols gets and gives.
#[derive(Debug, Clone)]
pub struct Redemption {
    /// The machine's public key (SPKI, DER), made on the machine.
    pub public_key: Vec<u8>,
    /// The serial of the certificate that was issued for it.
    pub certificate_serial: String,
    /// The hash of the token that the machine shows to the control plane.
    pub bearer_hash: TokenHash,
    /// The token that the control plane shows to the machine, sealed.
    pub control_bearer: Vec<u8>,
    /// The provider's id of the machine, where it knows it. With the token's use it is written down as
    /// the environment's: a request that was doubled on its way makes two machines with one token, and
    /// the one to keep is the one that has the credentials.
    pub machine_id: Option<String>,
}

impl DtmaCredentials<'_> {
    /// Begins a life of the environment: stores a one-time token and revokes what was before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the environment is not the account's; [`StoreError::Duplicate`]
    /// when another replica begins one at the same moment.
    pub async fn issue_unscoped(
        &self,
        new: NewEnrolment,
        events: &[NewEvent],
    ) -> Result<DtmaCredential, StoreError> {
        let now = self.0.now();
        let row = ActiveModel {
            id: Set(new.id.as_uuid()),
            environment_id: Set(new.environment_id.as_uuid()),
            account_id: Set(new.account_id.as_uuid()),
            enrolment_hash: Set(new.enrolment_hash.to_hex()),
            enrolment_expires_at: Set(micros(new.expires_at)),
            join_counter: Set(0),
            created_at: Set(now),
            updated_at: Set(now),
            ..ActiveModel::default()
        };
        let transaction = self.0.begin().await?;
        revoke(&transaction, new.environment_id, now).await?;
        Entity::insert(row)
            .exec_without_returning(&transaction)
            .await
            .map_err(on_missing_or_duplicate("environment", WHAT, "environment"))?;
        let made = find(&transaction, Condition::all().add(is(new.id))).await?;
        self.0.finish(transaction, events).await?;
        made.ok_or(StoreError::Stale { what: WHAT })
    }

    /// Ends a one-time token that nobody has redeemed, because no machine got it; returns whether
    /// there was one.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn withdraw(&self, hash: TokenHash) -> Result<bool, StoreError> {
        let transaction = self.0.begin().await?;
        let done = Entity::update_many()
            .set(ActiveModel {
                revoked_at: Set(Some(self.0.now())),
                updated_at: Set(self.0.now()),
                ..ActiveModel::default()
            })
            .filter(Column::EnrolmentHash.eq(hash.to_hex()))
            .filter(Column::RedeemedAt.is_null())
            .filter(Column::RevokedAt.is_null())
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        Ok(done.rows_affected > 0)
    }

    /// Notes why the first start of the machine that has this one-time token failed, and wakes its
    /// environment's reconciler. `false` where the token opens nothing any more, and nothing was
    /// written but `events`.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn note_bootstrap_failure(
        &self,
        id: CredentialId,
        environment: EnvironmentId,
        why: &str,
        events: &[NewEvent],
    ) -> Result<bool, StoreError> {
        let transaction = self.0.begin().await?;
        let done = Entity::update_many()
            .set(ActiveModel {
                bootstrap_failure: Set(Some(why.to_owned())),
                updated_at: Set(self.0.now()),
                ..ActiveModel::default()
            })
            .filter(is(id))
            .filter(Column::RedeemedAt.is_null())
            .filter(Column::RevokedAt.is_null())
            .exec(&transaction)
            .await?;
        leases::wake(&transaction, LeaseKind::Environment, environment.as_uuid()).await?;
        self.0.finish(transaction, events).await?;
        Ok(done.rows_affected > 0)
    }

    /// The credential of a one-time token that could be redeemed (again) now: for making the
    /// certificate before [`Self::redeem`] or [`Self::redeem_again`]. Promises nothing.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn peek(&self, hash: TokenHash) -> Result<Option<DtmaCredential>, StoreError> {
        let now = self.0.now();
        let either = Condition::any()
            .add(redeemable(hash, now))
            .add(repeatable(hash, now));
        find(self.0.read(), either).await
    }

    /// Uses up a one-time token. One conditional update: of any number of callers exactly one gets
    /// the credential, all others `None`, as they do for unknown, expired and revoked tokens, and on
    /// a machine that is not the one written down.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn redeem(
        &self,
        hash: TokenHash,
        redemption: Redemption,
        events: &[NewEvent],
    ) -> Result<Option<DtmaCredential>, StoreError> {
        let now = self.0.now();
        let change = ActiveModel {
            redeemed_at: Set(Some(now)),
            public_key: Set(Some(redemption.public_key)),
            certificate_serial: Set(Some(redemption.certificate_serial)),
            bearer_hash: Set(Some(redemption.bearer_hash.to_hex())),
            control_bearer: Set(Some(redemption.control_bearer)),
            join_counter: Set(1),
            updated_at: Set(now),
            ..ActiveModel::default()
        };
        let transaction = self.0.begin().await?;
        let rows = Entity::update_many()
            .set(change)
            .filter(redeemable(hash, now))
            .exec_with_returning(&transaction)
            .await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let credential = to_credential(row)?;
        if let Some(machine) = redemption.machine_id
            && !environments::enrols(&transaction, credential.environment_id, &machine, now).await?
        {
            return Ok(None);
        }
        self.0.finish(transaction, events).await?;
        Ok(Some(credential))
    }

    /// Answers a machine again whose enrolment succeeded, but whose answer was lost: the same token
    /// with the same key (the caller has checked that the machine holds it), before the token's end
    /// and before the first renewal. What was handed out with the lost answer is void. `None`
    /// otherwise.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn redeem_again(
        &self,
        hash: TokenHash,
        redemption: Redemption,
    ) -> Result<Option<DtmaCredential>, StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        let rows = Entity::update_many()
            .set(ActiveModel {
                certificate_serial: Set(Some(redemption.certificate_serial)),
                bearer_hash: Set(Some(redemption.bearer_hash.to_hex())),
                control_bearer: Set(Some(redemption.control_bearer)),
                updated_at: Set(now),
                ..ActiveModel::default()
            })
            .filter(repeatable(hash, now))
            .filter(Column::PublicKey.eq(redemption.public_key))
            .exec_with_returning(&transaction)
            .await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        self.0.finish(transaction, &[]).await?;
        to_credential(row).map(Some)
    }
}

/// Unused, not over, not expired.
fn redeemable(hash: TokenHash, now: i64) -> Condition {
    Condition::all()
        .add(Column::EnrolmentHash.eq(hash.to_hex()))
        .add(Column::RedeemedAt.is_null())
        .add(Column::RevokedAt.is_null())
        .add(Column::EnrolmentExpiresAt.gt(now))
}

/// Used, but by a machine that may not have heard our answer.
fn repeatable(hash: TokenHash, now: i64) -> Condition {
    Condition::all()
        .add(Column::EnrolmentHash.eq(hash.to_hex()))
        .add(Column::RedeemedAt.is_not_null())
        .add(Column::LockedAt.is_null())
        .add(Column::RevokedAt.is_null())
        .add(Column::EnrolmentExpiresAt.gt(now))
        .add(Column::JoinCounter.eq(1))
        .add(Column::NextCertificateSerial.is_null())
}
