//! What can go wrong in the store, sorted by what the caller does next.

use std::fmt;

use agentopia_domain::admission::DoesNotFit;
use agentopia_domain::direct_access::TooManyRules;
use agentopia_domain::environment::InvalidEnvironmentTransition;
use agentopia_domain::instance::InvalidInstanceTransition;
use agentopia_domain::{InstanceId, LinkId};
use sea_orm::{DbErr, RuntimeErr, SqlErr};

/// Why the store did not do what was asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing, or it is another account's: the two can't be told apart.
    #[error("there is no such {what}")]
    NotFound {
        /// The noun.
        what: &'static str,
    },
    /// Something else has this unique value already.
    #[error("another {what} has this {field} already; choose another")]
    Duplicate {
        /// The noun.
        what: &'static str,
        /// The field that has to be unique.
        field: &'static str,
    },
    /// The secret can't go while these use it.
    #[error("the secret is used by {} instance(s) and {} link(s); remove or reconfigure them first", .by.len(), .links.len())]
    SecretInUse {
        /// The instances that read it.
        by: Vec<InstanceId>,
        /// The links that carry it.
        links: Vec<LinkId>,
    },
    /// The row changed since it was read. Read it again and decide anew.
    #[error("the {what} changed in the meantime; read it again")]
    Stale {
        /// The noun.
        what: &'static str,
    },
    /// The reconciler's lease ended or went to another. Stop working on the row.
    #[error("the lease on the {what} was lost; another reconciler has it or will take it")]
    LeaseLost {
        /// The noun.
        what: &'static str,
    },
    /// The installation has its first admin already.
    #[error("the first admin exists already; sign in instead")]
    AlreadySetUp,
    /// The event has no meaning in the status that the environment has.
    #[error(transparent)]
    EnvironmentTransition(#[from] InvalidEnvironmentTransition),
    /// The event has no meaning in the status that the instance has.
    #[error(transparent)]
    InstanceTransition(#[from] InvalidInstanceTransition),
    /// The machine is too small.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
    /// The machine's firewall has no room for another tool that is reached directly.
    #[error(transparent)]
    TooManyRules(#[from] TooManyRules),
    /// What stands in the database can't be read: it was written by a newer version or by hand.
    #[error("the column {column} has a value that this version can't read: {problem}")]
    Corrupt {
        /// `table.column`.
        column: &'static str,
        /// What is wrong with it, without the value.
        problem: String,
    },
    /// The configuration of the database can't be used.
    #[error("the database can't be used: {0}")]
    Config(String),
    /// The database was too busy, or two transactions collided. Trying again helps.
    #[error("the database is busy; try again")]
    Busy(#[source] DatabaseFailure),
    /// The database's disk is full. What was asked for did not happen.
    #[error("the database's disk is full; make room on it, then try again")]
    Full(#[source] DatabaseFailure),
    /// The database does not answer. Trying again may help; look at the database.
    #[error("the database does not answer; check that it runs and can be reached")]
    Unavailable(#[source] DatabaseFailure),
    /// Anything else the database said.
    #[error("the database refused")]
    Database(#[source] DatabaseFailure),
}

/// What the database said, kept for the log. It never holds a bound value, so no secret.
pub struct DatabaseFailure(DbErr);

impl fmt::Debug for DatabaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for DatabaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for DatabaseFailure {}

/// `SQLITE_BUSY`, `SQLITE_BUSY_SNAPSHOT`, `SQLITE_LOCKED`
/// (<https://www.sqlite.org/rescode.html>); PostgreSQL's `serialization_failure`,
/// `deadlock_detected`, `lock_not_available`, `query_canceled`
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
const TRY_AGAIN: [&str; 7] = ["5", "517", "6", "40001", "40P01", "55P03", "57014"];

/// `SQLITE_FULL`, and `SQLITE_IOERR_WRITE` and `SQLITE_IOERR_SHMSIZE`, which SQLite says instead for
/// some of its files; PostgreSQL's `disk_full`.
const NO_ROOM: [&str; 4] = ["13", "778", "4874", "53100"];

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::ConnectionAcquire(_) => return Self::Busy(DatabaseFailure(error)),
            DbErr::Conn(RuntimeErr::SqlxError(inner))
            | DbErr::Exec(RuntimeErr::SqlxError(inner))
            | DbErr::Query(RuntimeErr::SqlxError(inner)) => match &**inner {
                sea_orm::SqlxError::Database(said) => match said.code().as_deref() {
                    Some(code) if TRY_AGAIN.contains(&code) => {
                        return Self::Busy(DatabaseFailure(error));
                    }
                    Some(code) if NO_ROOM.contains(&code) => {
                        return Self::Full(DatabaseFailure(error));
                    }
                    _ => {}
                },
                sea_orm::SqlxError::Io(_) | sea_orm::SqlxError::PoolClosed => {
                    return Self::Unavailable(DatabaseFailure(error));
                }
                _ => {}
            },
            _ => {}
        }
        match error {
            DbErr::Conn(_) => Self::Unavailable(DatabaseFailure(error)),
            _ => Self::Database(DatabaseFailure(error)),
        }
    }
}

impl StoreError {
    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Full(_) | Self::Unavailable(_))
    }

    pub(crate) const fn not_found(what: &'static str) -> Self {
        Self::NotFound { what }
    }
}

/// Names a broken uniqueness rule; `field` is the only one that the statement can break (ids are
/// random).
pub(crate) fn on_duplicate(
    what: &'static str,
    field: &'static str,
) -> impl FnOnce(DbErr) -> StoreError {
    move |error| match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => StoreError::Duplicate { what, field },
        _ => error.into(),
    }
}

/// Names a reference to a row that does not exist or is another account's.
pub(crate) fn on_missing(what: &'static str) -> impl FnOnce(DbErr) -> StoreError {
    move |error| match error.sql_err() {
        Some(SqlErr::ForeignKeyConstraintViolation(_)) => StoreError::NotFound { what },
        _ => error.into(),
    }
}

/// [`on_missing`] and [`on_duplicate`] for a statement that can break either rule.
pub(crate) fn on_missing_or_duplicate(
    missing: &'static str,
    what: &'static str,
    field: &'static str,
) -> impl FnOnce(DbErr) -> StoreError {
    move |error| match error.sql_err() {
        Some(SqlErr::ForeignKeyConstraintViolation(_)) => StoreError::NotFound { what: missing },
        _ => on_duplicate(what, field)(error),
    }
}
