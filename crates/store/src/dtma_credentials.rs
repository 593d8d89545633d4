//! What a machine's DTMA proves itself with (DTMA-2): one row for each life of an environment.
//!
//! The life of a row:
//!
//! 1. [`DtmaCredentials::issue_unscoped`]: a one-time enrolment token goes out with the machine's
//!    user-data; only its hash is stored. Whatever the environment had before is revoked.
//! 2. [`DtmaCredentials::redeem`]: the machine shows the token and its key and gets certificate and
//!    bearer token. One conditional update, which of any number of callers exactly one wins.
//! 3. [`DtmaCredentials::renew`]: in time, the machine asks for the next certificate and bearer
//!    token and shows its join counter. The next pair is noted beside the current one, so an answer
//!    that is lost can be asked for again with the same counter.
//! 4. [`DtmaCredentials::confirm`]: the first use of the next pair makes it the current one and
//!    raises the counter on both sides. The bearer token before stays good for calls on their way;
//!    the certificate before does not.
//! 5. A renewal with a counter that is not the row's comes from a clone, or from the original after
//!    a clone was first: the row is locked (`security.md`, as Teleport's bound keypairs do) until
//!    [`DtmaCredentials::issue_unscoped`] gives the machine a new life.

use agentopia_domain::event::NewEvent;
use agentopia_domain::token::TokenHash;
use agentopia_domain::{AccountId, CredentialId, EnvironmentId};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _,
    QueryFilter as _,
};

use crate::convert::{corrupt, micros, time, time_opt};
use crate::entity::dtma_credential::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, on_missing_or_duplicate};
use crate::store::{Changed, Store};

const WHAT: &str = "machine credential";

/// Machines' credentials. See [`Store::dtma_credentials`].
#[derive(Debug, Clone, Copy)]
pub struct DtmaCredentials<'a>(&'a Store);

impl Store {
    /// What machines prove themselves with.
    #[must_use]
    pub fn dtma_credentials(&self) -> DtmaCredentials<'_> {
        DtmaCredentials(self)
    }
}

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
}

/// The next certificate and bearer token of a machine.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// The counter that the machine showed.
    pub join_counter: i64,
    /// The public key that the certificate was issued for; signs the renewal after this one.
    pub public_key: Vec<u8>,
    /// The serial of the certificate that was issued.
    pub certificate_serial: String,
    /// The hash of the token that was issued.
    pub bearer_hash: TokenHash,
}

/// How a renewal went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenewalOutcome {
    /// The next pair is noted; hand it out.
    Renewed(DtmaCredential),
    /// The counter was another: two machines have the same key. The row is locked now (or was
    /// before); hand nothing out.
    Locked(DtmaCredential),
}

/// Whether a credential opens anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialState {
    /// The one-time token was not used yet.
    Enrolling,
    /// In use.
    Active,
    /// Two machines had it.
    Locked {
        /// What was seen, for the admin.
        reason: String,
    },
    /// Over.
    Revoked,
}

/// The record of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DtmaCredential {
    /// Its id.
    pub id: CredentialId,
    /// The environment.
    pub environment_id: EnvironmentId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Whether it opens anything.
    pub state: CredentialState,
    /// When the one-time token ends.
    pub enrolment_expires_at: DateTime<Utc>,
    /// When it was used.
    pub redeemed_at: Option<DateTime<Utc>>,
    /// The machine's public key (SPKI, DER).
    pub public_key: Option<Vec<u8>>,
    /// The key before: whoever still signs with it has a copy of the machine's disk.
    pub previous_public_key: Option<Vec<u8>>,
    /// The serial of the certificate in use.
    pub certificate_serial: Option<String>,
    /// The serial of the certificate that was handed out and not used yet.
    pub next_certificate_serial: Option<String>,
    /// The hash of the bearer token in use.
    pub bearer_hash: Option<TokenHash>,
    /// The hash of the one that was handed out and not used yet.
    pub next_bearer_hash: Option<TokenHash>,
    /// The hash of the one before.
    pub previous_bearer_hash: Option<TokenHash>,
    /// The token that the control plane shows to the machine, sealed.
    pub control_bearer: Option<Vec<u8>>,
    /// Grows with every pair that came into use: 1 after the enrolment.
    pub join_counter: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl DtmaCredential {
    /// Whether `serial` is one that this machine may show: the current or the next one.
    #[must_use]
    pub fn accepts_serial(&self, serial: &str) -> bool {
        self.certificate_serial.as_deref() == Some(serial)
            || self.next_certificate_serial.as_deref() == Some(serial)
    }
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
    /// the credential, all others `None`, as they do for unknown, expired and revoked tokens.
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
        self.0.finish(transaction, events).await?;
        to_credential(row).map(Some)
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

    /// Whose bearer token this is: current, next or the one before, of a credential that was not
    /// revoked. It may be locked: look at [`DtmaCredential::state`].
    ///
    /// # Errors
    /// Only the database's.
    pub async fn by_bearer_unscoped(
        &self,
        hash: TokenHash,
    ) -> Result<Option<DtmaCredential>, StoreError> {
        let hash = hash.to_hex();
        let any = Condition::any()
            .add(Column::BearerHash.eq(&hash))
            .add(Column::NextBearerHash.eq(&hash))
            .add(Column::PreviousBearerHash.eq(&hash));
        find(
            self.0.read(),
            Condition::all()
                .add(any)
                .add(Column::RevokedAt.is_null())
                .add(Column::RedeemedAt.is_not_null()),
        )
        .await
    }

    /// The credential of an environment's present life.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn by_environment_unscoped(
        &self,
        environment: EnvironmentId,
    ) -> Result<Option<DtmaCredential>, StoreError> {
        find(
            self.0.read(),
            Condition::all()
                .add(Column::EnvironmentId.eq(environment.as_uuid()))
                .add(Column::RevokedAt.is_null()),
        )
        .await
    }

    /// Notes the next certificate and bearer token, if the machine's counter is the row's. If not,
    /// locks the row for `lock_reason` and writes `locked_events` instead of `events`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the credential is revoked or never enrolled.
    pub async fn renew(
        &self,
        id: CredentialId,
        renewal: Renewal,
        events: &[NewEvent],
        lock_reason: &str,
        locked_events: &[NewEvent],
    ) -> Result<RenewalOutcome, StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        let rows = Entity::update_many()
            .set(ActiveModel {
                next_public_key: Set(Some(renewal.public_key)),
                next_certificate_serial: Set(Some(renewal.certificate_serial)),
                next_bearer_hash: Set(Some(renewal.bearer_hash.to_hex())),
                updated_at: Set(now),
                ..ActiveModel::default()
            })
            .filter(usable(id))
            .filter(Column::JoinCounter.eq(renewal.join_counter))
            .exec_with_returning(&transaction)
            .await?;
        if let Some(row) = rows.into_iter().next() {
            self.0.finish(transaction, events).await?;
            return to_credential(row).map(RenewalOutcome::Renewed);
        }
        let locked = lock(&transaction, id, lock_reason, now).await?;
        self.0
            .finish(
                transaction,
                if locked.changed { locked_events } else { &[] },
            )
            .await?;
        Ok(RenewalOutcome::Locked(locked.value))
    }

    /// The machine used the next certificate: the next pair becomes the current one and the counter
    /// grows. Doing it again, or with another serial, changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn confirm(
        &self,
        id: CredentialId,
        certificate_serial: &str,
        events: &[NewEvent],
    ) -> Result<Changed<DtmaCredential>, StoreError> {
        let transaction = self.0.begin().await?;
        let rows = Entity::update_many()
            .col_expr(
                Column::CertificateSerial,
                Expr::col(Column::NextCertificateSerial),
            )
            .col_expr(Column::PreviousPublicKey, Expr::col(Column::PublicKey))
            .col_expr(Column::PublicKey, Expr::col(Column::NextPublicKey))
            .col_expr(Column::NextPublicKey, Expr::value(Option::<Vec<u8>>::None))
            .col_expr(Column::PreviousBearerHash, Expr::col(Column::BearerHash))
            .col_expr(Column::BearerHash, Expr::col(Column::NextBearerHash))
            .col_expr(Column::JoinCounter, Expr::col(Column::JoinCounter).add(1))
            .col_expr(
                Column::NextCertificateSerial,
                Expr::value(Option::<String>::None),
            )
            .col_expr(Column::NextBearerHash, Expr::value(Option::<String>::None))
            .col_expr(Column::UpdatedAt, Expr::value(self.0.now()))
            .filter(usable(id))
            .filter(Column::NextCertificateSerial.eq(certificate_serial))
            .exec_with_returning(&transaction)
            .await?;
        let Some(row) = rows.into_iter().next() else {
            let found = find(&transaction, Condition::all().add(is(id))).await?;
            return Ok(Changed {
                value: found.ok_or(StoreError::not_found(WHAT))?,
                changed: false,
            });
        };
        self.0.finish(transaction, events).await?;
        Ok(Changed {
            value: to_credential(row)?,
            changed: true,
        })
    }

    /// Shuts out original and clone until the machine gets a new life.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the credential is revoked or never enrolled.
    pub async fn lock(
        &self,
        id: CredentialId,
        reason: &str,
        events: &[NewEvent],
    ) -> Result<Changed<DtmaCredential>, StoreError> {
        let transaction = self.0.begin().await?;
        let locked = lock(&transaction, id, reason, self.0.now()).await?;
        self.0
            .finish(transaction, if locked.changed { events } else { &[] })
            .await?;
        Ok(locked)
    }

    /// Ends whatever credential the environment has; returns whether there was one.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn revoke_unscoped(
        &self,
        environment: EnvironmentId,
        events: &[NewEvent],
    ) -> Result<bool, StoreError> {
        let transaction = self.0.begin().await?;
        let any = revoke(&transaction, environment, self.0.now()).await?;
        self.0
            .finish(transaction, if any { events } else { &[] })
            .await?;
        Ok(any)
    }
}

fn is(id: CredentialId) -> sea_orm::sea_query::SimpleExpr {
    Column::Id.eq(id.as_uuid())
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

/// Enrolled, neither locked nor over.
fn usable(id: CredentialId) -> Condition {
    Condition::all()
        .add(is(id))
        .add(Column::RedeemedAt.is_not_null())
        .add(Column::LockedAt.is_null())
        .add(Column::RevokedAt.is_null())
}

async fn lock(
    connection: &impl ConnectionTrait,
    id: CredentialId,
    reason: &str,
    now: i64,
) -> Result<Changed<DtmaCredential>, StoreError> {
    let rows = Entity::update_many()
        .set(ActiveModel {
            locked_at: Set(Some(now)),
            lock_reason: Set(Some(reason.to_owned())),
            updated_at: Set(now),
            ..ActiveModel::default()
        })
        .filter(usable(id))
        .exec_with_returning(connection)
        .await?;
    if let Some(row) = rows.into_iter().next() {
        return Ok(Changed {
            value: to_credential(row)?,
            changed: true,
        });
    }
    let locked_before = Condition::all()
        .add(is(id))
        .add(Column::LockedAt.is_not_null())
        .add(Column::RevokedAt.is_null());
    let found = find(connection, locked_before).await?;
    Ok(Changed {
        value: found.ok_or(StoreError::not_found(WHAT))?,
        changed: false,
    })
}

async fn revoke(
    connection: &impl ConnectionTrait,
    environment: EnvironmentId,
    now: i64,
) -> Result<bool, StoreError> {
    let done = Entity::update_many()
        .set(ActiveModel {
            revoked_at: Set(Some(now)),
            control_bearer: Set(None),
            updated_at: Set(now),
            ..ActiveModel::default()
        })
        .filter(Column::EnvironmentId.eq(environment.as_uuid()))
        .filter(Column::RevokedAt.is_null())
        .exec(connection)
        .await?;
    Ok(done.rows_affected > 0)
}

async fn find(
    connection: &impl ConnectionTrait,
    condition: Condition,
) -> Result<Option<DtmaCredential>, StoreError> {
    let row = Entity::find().filter(condition).one(connection).await?;
    row.map(to_credential).transpose()
}

fn to_credential(row: Model) -> Result<DtmaCredential, StoreError> {
    let hash = |text: Option<String>| {
        text.map(|text| {
            TokenHash::from_hex(&text)
                .ok_or_else(|| corrupt("dtma_credentials.bearer_hash", "no hash"))
        })
        .transpose()
    };
    let state = if row.revoked_at.is_some() {
        CredentialState::Revoked
    } else if row.locked_at.is_some() {
        CredentialState::Locked {
            reason: row.lock_reason.unwrap_or_default(),
        }
    } else if row.redeemed_at.is_some() {
        CredentialState::Active
    } else {
        CredentialState::Enrolling
    };
    Ok(DtmaCredential {
        id: row.id.into(),
        environment_id: row.environment_id.into(),
        account_id: row.account_id.into(),
        state,
        enrolment_expires_at: time(
            "dtma_credentials.enrolment_expires_at",
            row.enrolment_expires_at,
        )?,
        redeemed_at: time_opt("dtma_credentials.redeemed_at", row.redeemed_at)?,
        public_key: row.public_key,
        previous_public_key: row.previous_public_key,
        certificate_serial: row.certificate_serial,
        next_certificate_serial: row.next_certificate_serial,
        bearer_hash: hash(row.bearer_hash)?,
        next_bearer_hash: hash(row.next_bearer_hash)?,
        previous_bearer_hash: hash(row.previous_bearer_hash)?,
        control_bearer: row.control_bearer,
        join_counter: row.join_counter,
        created_at: time("dtma_credentials.created_at", row.created_at)?,
        updated_at: time("dtma_credentials.updated_at", row.updated_at)?,
    })
}
