//! A credential's next pair: noted, taken into use, and refused to a clone.

use agentopia_domain::CredentialId;
use agentopia_domain::event::NewEvent;
use agentopia_domain::token::TokenHash;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _,
    QueryFilter as _,
};

use super::record::{DtmaCredential, to_credential};
use super::{DtmaCredentials, WHAT, find, is};
use crate::entity::dtma_credential::{ActiveModel, Column, Entity};
use crate::error::StoreError;
use crate::store::Changed;

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

impl DtmaCredentials<'_> {
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
