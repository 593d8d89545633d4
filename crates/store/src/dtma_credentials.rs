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
//!
//! The record is in `dtma_credentials/record.rs`, the first two steps in `enrol.rs`, the others in
//! `renew.rs`; looking one up and ending one are here.

mod enrol;
mod record;
mod renew;

use agentopia_domain::event::NewEvent;
use agentopia_domain::token::TokenHash;
use agentopia_domain::{CredentialId, EnvironmentId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _,
    QueryFilter as _,
};

pub use self::enrol::{NewEnrolment, Redemption};
pub use self::record::{CredentialState, DtmaCredential};
pub use self::renew::{Renewal, RenewalOutcome};

use self::record::to_credential;
use crate::entity::dtma_credential::{ActiveModel, Column, Entity};
use crate::error::StoreError;
use crate::store::Store;

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

impl DtmaCredentials<'_> {
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
