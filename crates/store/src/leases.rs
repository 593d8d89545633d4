//! Who works on which row: the reconcilers' queue (architecture, decision 1).
//!
//! Environments, instances and the installation's own jobs carry the queue in their rows:
//!
//! | column | meaning |
//! |---|---|
//! | `due_at` | from when on somebody should look at the row |
//! | `wakes` | grows with every [`Leases::wake`] and every change of intent |
//! | `lease_owner`, `lease_until` | who works on it, and until when if they are not heard of again |
//! | `lease_token` | grows with every claim: the fencing token |
//! | `lease_wakes` | `wakes` when the row was claimed |
//!
//! The life of a claim: [`Leases::claim_due`] gives rows to exactly one reconciler each, the longest
//! due first, so none starves. While it works it may [`Leases::renew`]; whatever it writes carries
//! its [`LeaseToken`] and is refused once the lease went to another. [`Leases::release`] says when to
//! look again; a wake that came in the meantime wins (`wakes <> lease_wakes` makes the row due at
//! once). A reconciler that dies releases nothing: the row, still due, is claimed again when
//! `lease_until` is past.
//!
//! All these times are the database's clock, in SQL: two replicas never compare theirs.

use std::time::Duration;

use agentopia_domain::{EnvironmentId, InstanceId};
use sea_orm::{ConnectionTrait as _, Statement, Value};
use uuid::Uuid;

use crate::convert::span;
use crate::dialect;
use crate::error::StoreError;
use crate::seam::Transaction;
use crate::store::Store;

/// `due_at` of rows that nobody needs to look at until they are woken.
const NEVER: i64 = i64::MAX;

/// The queue. See [`Store::leases`].
#[derive(Debug, Clone, Copy)]
pub struct Leases<'a>(&'a Store);

impl Store {
    /// The reconcilers' queue.
    #[must_use]
    pub fn leases(&self) -> Leases<'_> {
        Leases(self)
    }
}

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseKind {
    /// Environments.
    Environment,
    /// Instances.
    Instance,
    /// Work of the installation as a whole.
    Job,
}

impl LeaseKind {
    const fn table(self) -> &'static str {
        match self {
            Self::Environment => "account_tool_environments",
            Self::Instance => "account_tool_instances",
            Self::Job => "installation_jobs",
        }
    }

    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Instance => "instance",
            Self::Job => "job",
        }
    }
}

/// The fencing token of a lease: what a reconciler's writes carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub(crate) i64);

/// A row that was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The row; an [`EnvironmentId`] or an [`InstanceId`].
    pub id: Uuid,
    /// What to write with, to renew with and to release with.
    pub token: LeaseToken,
}

impl Claim {
    /// The environment that was claimed.
    #[must_use]
    pub fn environment(&self) -> EnvironmentId {
        self.id.into()
    }

    /// The instance that was claimed.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.id.into()
    }
}

impl Leases<'_> {
    /// Whether a row is due and free, that is whether [`claim_due`](Self::claim_due) would find one
    /// now. Changes nothing, so that looking for work every second costs no writing.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn is_any_due(&self, kind: LeaseKind) -> Result<bool, StoreError> {
        let (table, now) = (kind.table(), self.0.now_sql());
        let sql = format!(
            "SELECT id FROM {table} \
             WHERE due_at <= {now} AND (lease_until IS NULL OR lease_until <= {now}) LIMIT 1"
        );
        let statement = Statement::from_string(self.0.backend(), sql);
        Ok(self.0.read().query_one_raw(statement).await?.is_some())
    }

    /// Takes up to `limit` rows that are due and free, for `ttl`. `owner` names the replica, for
    /// people who look at the table.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn claim_due(
        &self,
        kind: LeaseKind,
        owner: &str,
        ttl: Duration,
        limit: u32,
    ) -> Result<Vec<Claim>, StoreError> {
        let backend = self.0.backend();
        let sql = dialect::claim_sql(backend, kind.table(), &self.0.now_sql());
        let values: [Value; 3] = [i64::from(limit).into(), span(ttl).into(), owner.into()];
        let transaction = self.0.begin().await?;
        let rows = transaction
            .query_all_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
        let claims = rows
            .iter()
            .map(|row| {
                Ok(Claim {
                    id: row.try_get_by("id")?,
                    token: LeaseToken(row.try_get_by("lease_token")?),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        self.0.finish(transaction, &[]).await?;
        Ok(claims)
    }

    /// Keeps the lease for another `ttl` from now.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    pub async fn renew(
        &self,
        kind: LeaseKind,
        id: Uuid,
        token: LeaseToken,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let now = self.0.now_sql();
        let set = format!("lease_until = {now} + $3");
        self.with_lease(kind, id, token, &set, [span(ttl).into()])
            .await
    }

    /// Gives the row back. It is due again after `next_due_in`, never by itself with `None`, and at
    /// once if it was woken since it was claimed.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; there is nothing to do about it then.
    pub async fn release(
        &self,
        kind: LeaseKind,
        id: Uuid,
        token: LeaseToken,
        next_due_in: Option<Duration>,
    ) -> Result<(), StoreError> {
        let now = self.0.now_sql();
        let (next, value) = match next_due_in {
            Some(delay) => (format!("{now} + $3"), span(delay)),
            None => ("$3".to_owned(), NEVER),
        };
        let set = format!(
            "lease_owner = NULL, lease_until = NULL, \
             due_at = CASE WHEN wakes <> lease_wakes THEN {now} ELSE {next} END"
        );
        self.with_lease(kind, id, token, &set, [value.into()]).await
    }

    /// Takes every lease from whoever holds it, so that what they worked on is due again now. Only
    /// for a process that knows that nobody else uses the database: the holders are dead.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn release_all(&self, kind: LeaseKind) -> Result<(), StoreError> {
        let table = kind.table();
        let sql = format!(
            "UPDATE {table} SET lease_owner = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL"
        );
        let transaction = self.0.begin().await?;
        transaction
            .execute_raw(Statement::from_string(self.0.backend(), sql))
            .await?;
        self.0.finish(transaction, &[]).await
    }

    /// Makes the row due now, or right after whoever works on it is done. Unknown rows are left
    /// alone.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn wake(&self, kind: LeaseKind, id: Uuid) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        wake(&transaction, kind, id).await?;
        self.0.finish(transaction, &[]).await
    }

    async fn with_lease(
        &self,
        kind: LeaseKind,
        id: Uuid,
        token: LeaseToken,
        set: &str,
        values: [Value; 1],
    ) -> Result<(), StoreError> {
        let table = kind.table();
        let sql = format!(
            "UPDATE {table} SET {set} \
             WHERE id = $1 AND lease_token = $2 AND lease_owner IS NOT NULL"
        );
        let [value] = values;
        let values: [Value; 3] = [id.into(), token.0.into(), value];
        let transaction = self.0.begin().await?;
        let done = transaction
            .execute_raw(Statement::from_sql_and_values(
                self.0.backend(),
                sql,
                values,
            ))
            .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::LeaseLost { what: kind.what() });
        }
        self.0.finish(transaction, &[]).await
    }
}

/// [`Leases::wake`] as part of a transaction that changes what is wanted.
pub(crate) async fn wake(
    transaction: &Transaction,
    kind: LeaseKind,
    id: Uuid,
) -> Result<(), StoreError> {
    wake_where(transaction, kind, "id = $1", id).await
}

/// Makes all instances of an environment due, those that are gone for good excepted.
pub(crate) async fn wake_instances_of(
    transaction: &Transaction,
    environment: EnvironmentId,
) -> Result<(), StoreError> {
    let table = LeaseKind::Instance.table();
    // Everybody locks instances in the order of their ids, so nobody waits in a circle.
    let lock = dialect::lock_sql(transaction.get_database_backend());
    let theirs = format!(
        "id IN (SELECT id FROM {table} WHERE environment_id = $1 AND status <> 'removed' \
         ORDER BY id {lock})"
    );
    wake_where(
        transaction,
        LeaseKind::Instance,
        &theirs,
        environment.as_uuid(),
    )
    .await
}

async fn wake_where(
    transaction: &Transaction,
    kind: LeaseKind,
    condition: &str,
    id: Uuid,
) -> Result<(), StoreError> {
    let backend = transaction.get_database_backend();
    let (table, now) = (kind.table(), transaction.now_sql());
    let sql = format!(
        "UPDATE {table} SET wakes = wakes + 1, \
         due_at = CASE WHEN due_at > {now} THEN {now} ELSE due_at END WHERE {condition}"
    );
    transaction
        .execute_raw(Statement::from_sql_and_values(backend, sql, [id.into()]))
        .await?;
    Ok(())
}
