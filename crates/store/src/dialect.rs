//! Everything in which SQLite and PostgreSQL differ. Nothing outside this file asks which of the
//! two it is talking to.
//!
//! Both take `$1`, `$2`, … as placeholders, `RETURNING`, `ON CONFLICT`, partial indexes and
//! booleans, so most statements need no second form.

use sea_orm::sea_query::LockType;
use sea_orm::sqlx::sqlite::{SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{Connection as _, Error as SqlxError};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, IsolationLevel, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use secrecy::ExposeSecret as _;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

use crate::config::{DatabaseConfig, SqliteSync};
use crate::error::StoreError;

/// How long a statement waits for its turn before the caller hears "busy".
const PATIENCE: Duration = Duration::from_secs(20);

/// How soon a file is opened again that somebody else is making a WAL database just now.
const AGAIN: Duration = Duration::from_millis(20);

/// Readers beside the one writer of SQLite.
const SQLITE_READERS: u32 = 4;

/// Keys of PostgreSQL's advisory locks; any numbers will do that nobody else in the database uses.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exclusive {
    /// One replica migrates at a time.
    Migration = 0x6167_6501,
    /// Events become visible in the order of their sequence; see `events.rs`.
    EventOrder = 0x6167_6502,
    /// There is one first admin.
    FirstAdmin = 0x6167_6503,
}

/// The connections of a store: `write` and `read` are one pool on PostgreSQL.
pub(crate) struct Connections {
    pub(crate) write: DatabaseConnection,
    pub(crate) read: DatabaseConnection,
}

pub(crate) async fn connect(config: &DatabaseConfig) -> Result<Connections, StoreError> {
    match config {
        DatabaseConfig::Sqlite { path, sync } => {
            make_private_file(path)?;
            // The writer opens first: it makes the file a WAL database.
            let write = open_writer(path, *sync).await?;
            let read = Database::connect(sqlite_options(path, *sync, SQLITE_READERS, true)).await?;
            Ok(Connections { write, read })
        }
        DatabaseConfig::Postgres {
            url,
            max_connections,
        } => {
            let mut options = ConnectOptions::new(url.expose_secret());
            options
                .max_connections(*max_connections)
                .acquire_timeout(PATIENCE)
                .set_application_name("agentopia")
                .statement_timeout(PATIENCE)
                .test_before_acquire_if_idle_for(Duration::from_secs(10));
            quiet(&mut options);
            let pool = Database::connect(options).await?;
            Ok(Connections {
                write: pool.clone(),
                read: pool,
            })
        }
    }
}

/// Opens the connection that writes. It makes the file a WAL database, and of several that do so to a
/// new file at the same moment SQLite turns some away at once, whatever their `busy_timeout`: each has
/// a shared lock that the others would have to wait for (<https://www.sqlite.org/c3ref/busy_handler.html>).
async fn open_writer(path: &Path, sync: SqliteSync) -> Result<DatabaseConnection, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let opened = Database::connect(sqlite_options(path, sync, 1, false)).await;
        match opened.map_err(StoreError::from) {
            Err(StoreError::Busy(_)) if Instant::now() < deadline => sleep(AGAIN).await,
            opened => return opened,
        }
    }
}

/// The file holds password hashes and ciphertexts: nobody but its owner may read it. SQLite gives
/// the files it makes beside it the same mode.
fn make_private_file(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| {
            StoreError::Config(format!(
                "the file {} can't be opened for writing: {error}",
                path.display()
            ))
        })
}

fn sqlite_options(path: &Path, sync: SqliteSync, connections: u32, reader: bool) -> ConnectOptions {
    let path = path.to_path_buf();
    // The real path is given below: a URL can't carry every file name.
    let mut options = ConnectOptions::new("sqlite:agentopia");
    options
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(Option::<Duration>::None)
        .max_lifetime(Option::<Duration>::None)
        .test_before_acquire(false)
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| Box::pin(has_no_transaction(connection)))
        })
        .map_sqlx_sqlite_opts(move |options| {
            let options = options
                .filename(&path)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(match sync {
                    SqliteSync::Full => SqliteSynchronous::Full,
                    SqliteSync::Normal => SqliteSynchronous::Normal,
                })
                .busy_timeout(PATIENCE)
                .foreign_keys(true);
            if reader {
                options.pragma("query_only", "on")
            } else {
                options
            }
        });
    quiet(&mut options);
    options
}

/// Whether a connection may be used again. SQLite ends a transaction by itself when the disk is full,
/// and the driver, which then can't end it once more, takes it for open for ever: transactions after
/// that would be savepoints in one that nobody commits. Such a connection is closed.
async fn has_no_transaction(connection: &mut SqliteConnection) -> Result<bool, SqlxError> {
    // A rollback may be queued: this comes after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Statements would drown the log; what goes wrong comes back as an error.
fn quiet(options: &mut ConnectOptions) {
    options.sqlx_logging(false).record_stmt_in_spans(false);
}

/// Begins a transaction that is going to write. On SQLite it takes the write lock at once: a
/// transaction that begins by reading and then writes could be refused half-way.
pub(crate) async fn begin(connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    connection
        .begin_with_options(match connection.get_database_backend() {
            DbBackend::Sqlite => TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            },
            _ => TransactionOptions::default(),
        })
        .await
}

/// Begins a transaction in which all reads see one moment.
pub(crate) async fn begin_snapshot(
    connection: &DatabaseConnection,
) -> Result<DatabaseTransaction, DbErr> {
    connection
        .begin_with_options(match connection.get_database_backend() {
            // In WAL mode every read of a transaction sees the moment of its first.
            DbBackend::Sqlite => TransactionOptions::default(),
            _ => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                ..TransactionOptions::default()
            },
        })
        .await
}

/// Lets nobody else past the same call until the transaction ends. SQLite has one writer anyway.
pub(crate) async fn hold(transaction: &impl ConnectionTrait, key: Exclusive) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    if backend == DbBackend::Postgres {
        let lock = Statement::from_sql_and_values(
            backend,
            "SELECT pg_advisory_xact_lock($1)",
            [(key as i64).into()],
        );
        transaction.execute_raw(lock).await?;
    }
    Ok(())
}

/// The database's own clock in microseconds since 1970, as an SQL expression. PostgreSQL's stands
/// still within a statement, so that an index can be used and one statement has one "now".
pub(crate) fn now_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        _ => "CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS BIGINT)",
    }
}

/// How a row is locked that others refer to and nobody deletes. Not `FOR UPDATE`: whoever writes a row
/// that refers to it for the second time in a transaction would wait for it (PostgreSQL looks at the
/// foreign key again then), and with the locks it has by then somebody may wait in a circle.
pub(crate) const ROW: LockType = LockType::NoKeyUpdate;

/// What a `SELECT` ends with that locks the rows it finds like [`ROW`], in its order, until the transaction ends.
/// On SQLite whoever writes is alone anyway.
pub(crate) fn lock_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "",
        _ => "FOR NO KEY UPDATE",
    }
}

/// Takes leases on up to `$1` rows of `table` that are due and free, the longest due first, for
/// `$2` from `now` in the name of `$3`; returns `id, lease_token`. Among rows that became due at the same tick
/// of the clock (a millisecond on SQLite) those come first that had fewer turns. PostgreSQL's steps over rows that another
/// replica is taking at the same moment; SQLite has one writer at a time.
pub(crate) fn claim_sql(backend: DbBackend, table: &str, now: &str) -> String {
    let lock = match backend {
        DbBackend::Sqlite => "",
        _ => "FOR NO KEY UPDATE SKIP LOCKED",
    };
    let materialized = match backend {
        DbBackend::Sqlite => "",
        _ => "MATERIALIZED",
    };
    format!(
        "WITH due AS {materialized} (\
           SELECT id FROM {table} \
           WHERE due_at <= {now} AND (lease_until IS NULL OR lease_until <= {now}) \
           ORDER BY due_at, lease_token, id LIMIT $1 {lock}) \
         UPDATE {table} SET lease_owner = $3, lease_token = lease_token + 1, \
           lease_until = {now} + $2, lease_wakes = wakes \
         WHERE id IN (SELECT id FROM due) \
         RETURNING id, lease_token"
    )
}

/// Writes the column types of a schema that is written with `{uuid}`, `{bytes}` and `{serial}` in
/// their place. SQLite keeps UUIDs as 16 bytes, which sort like PostgreSQL's.
pub(crate) fn schema_sql(backend: DbBackend, template: &str) -> String {
    let (uuid, bytes, serial) = match backend {
        DbBackend::Sqlite => ("BLOB", "BLOB", "INTEGER PRIMARY KEY AUTOINCREMENT"),
        _ => (
            "UUID",
            "BYTEA",
            "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        ),
    };
    template
        .replace("{uuid}", uuid)
        .replace("{bytes}", bytes)
        .replace("{serial}", serial)
}
