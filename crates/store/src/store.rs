//! The handle that everything hangs on, and how transactions begin and end.

use std::fmt;
use std::sync::Arc;

use agentopia_domain::Ambient;
use agentopia_domain::event::NewEvent;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use crate::config::DatabaseConfig;
use crate::convert::micros;
use crate::dialect::{self, Exclusive};
use crate::error::StoreError;
use crate::seam::{Connection, Seam, Transaction};
use crate::{events, migration};

/// The store; clones share its connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    write: Connection,
    read: Connection,
    ambient: Ambient,
    backend: DbBackend,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.inner.backend.as_str())
    }
}

/// A record after a call that may have found nothing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<T> {
    /// The record as it stands now.
    pub value: T,
    /// Whether this call changed it. Only then were the events written.
    pub changed: bool,
}

/// How the tables stand to this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaState {
    /// Steps that this version needs and that were not made.
    pub missing: Vec<String>,
    /// Steps of a later version.
    pub newer: Vec<String>,
}

impl Store {
    /// Opens the database. Call [`Self::migrate`] before anything else.
    ///
    /// # Errors
    /// [`StoreError::Config`] or [`StoreError::Unavailable`].
    pub async fn connect(config: &DatabaseConfig, ambient: Ambient) -> Result<Self, StoreError> {
        let connections = dialect::connect(config).await?;
        let backend = connections.write.get_database_backend();
        Ok(Self {
            inner: Arc::new(Inner {
                write: Connection::new(connections.write),
                read: Connection::new(connections.read),
                ambient,
                backend,
            }),
        })
    }

    /// The same database as another replica in this process sees it: by its own clock, and through
    /// `seam`. For simulations; see [`Seam`].
    #[must_use]
    pub fn behind(&self, seam: &Arc<dyn Seam>, ambient: Ambient) -> Self {
        Self {
            inner: Arc::new(Inner {
                write: self.inner.write.behind(Arc::clone(seam)),
                read: self.inner.read.behind(Arc::clone(seam)),
                ambient,
                backend: self.inner.backend,
            }),
        }
    }

    /// Brings the tables up to this version. Replicas that start at once wait for one another; a
    /// migration that fails leaves the database as it was.
    ///
    /// # Errors
    /// [`StoreError::Database`], for example when a newer version was here already.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        dialect::hold(&transaction, Exclusive::Migration).await?;
        migration::up(transaction.inner()).await?;
        Ok(transaction.commit(&[]).await?)
    }

    /// How the tables stand to this version.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Unavailable`].
    pub async fn schema(&self) -> Result<SchemaState, StoreError> {
        let select = "SELECT version FROM seaql_migrations ORDER BY version";
        let statement = Statement::from_string(self.backend(), select);
        let rows = self.read().query_all_raw(statement).await?;
        let applied = rows.iter().map(|row| row.try_get_by("version"));
        let applied = applied.collect::<Result<Vec<String>, _>>()?;
        let known = migration::known();
        let without = |all: &[String], others: &[String]| {
            let rest = all.iter().filter(|name| !others.contains(name));
            rest.cloned().collect()
        };
        Ok(SchemaState {
            missing: without(&known, &applied),
            newer: without(&applied, &known),
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        // A statement rather than the driver's ping, which SQLite answers without the file.
        self.read()
            .execute_unprepared("SELECT count(*) FROM system_secrets")
            .await?;
        Ok(())
    }

    /// Ends all connections after what they are doing now. Other clones fail from then on.
    ///
    /// # Errors
    /// What the driver says; nothing that was committed is lost.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.read().close().await?;
        Ok(self.writer().close().await?)
    }

    /// `sqlite` or `postgres`, for logs and `/ready`.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        match self.inner.backend {
            DbBackend::Sqlite => "sqlite",
            _ => "postgres",
        }
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.inner.backend
    }

    #[must_use]
    pub fn ambient(&self) -> &Ambient {
        &self.inner.ambient
    }

    /// The injected clock, as stored.
    pub(crate) fn now(&self) -> i64 {
        micros(self.inner.ambient.now())
    }

    /// For queries that change nothing.
    pub(crate) fn read(&self) -> &Connection {
        &self.inner.read
    }

    fn writer(&self) -> &Connection {
        &self.inner.write
    }

    /// The database's own clock, as an SQL expression.
    pub(crate) fn now_sql(&self) -> String {
        self.inner.write.now_sql()
    }

    /// Begins a transaction that writes. Dropping it undoes everything.
    pub(crate) async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(self.writer().begin().await?)
    }

    /// Begins a transaction whose reads all see one moment.
    pub(crate) async fn snapshot(&self) -> Result<Transaction, StoreError> {
        Ok(self.read().begin_snapshot().await?)
    }

    /// Writes `events` and commits. Events come last in every transaction: the lock that orders
    /// them is held only until the commit, and always taken after all row locks.
    pub(crate) async fn finish(
        &self,
        transaction: Transaction,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        events::append(&transaction, self.ambient(), events).await?;
        Ok(transaction.commit(events).await?)
    }
}

#[cfg(test)]
mod tests {
    use agentopia_domain::event::{NewEvent, ObjectKind};

    use super::*;

    async fn write(store: &Store, text: &str) -> Result<(), StoreError> {
        let account = uuid::Uuid::nil().into();
        let object = (ObjectKind::User, uuid::Uuid::nil());
        let event = NewEvent::system(account, "test", object, text);
        store.finish(store.begin().await?, &[event]).await
    }

    async fn limit(store: &Store, pages: u32) {
        let pragma = format!("PRAGMA max_page_count = {pages}");
        store.writer().execute_unprepared(&pragma).await.unwrap();
    }

    #[tokio::test]
    async fn the_tables_are_told_from_those_of_an_older_and_a_newer_version() {
        let dir = tempfile::tempdir().unwrap();
        let config = DatabaseConfig::sqlite(dir.path().join("x.db"));
        let store = Store::connect(&config, Ambient::system()).await.unwrap();
        assert!(store.schema().await.is_err(), "there are no tables yet");
        store.migrate().await.unwrap();
        let fine = SchemaState {
            missing: Vec::new(),
            newer: Vec::new(),
        };
        assert_eq!(store.schema().await.unwrap(), fine);
        let rename = "UPDATE seaql_migrations SET version = 'm9999_later' \
                      WHERE version = 'm0002_scaling_and_price'";
        store.writer().execute_unprepared(rename).await.unwrap();
        let other = SchemaState {
            missing: vec!["m0002_scaling_and_price".to_owned()],
            newer: vec!["m9999_later".to_owned()],
        };
        assert_eq!(store.schema().await.unwrap(), other);
    }

    #[tokio::test]
    async fn what_is_written_after_a_full_disk_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let config = DatabaseConfig::sqlite(dir.path().join("x.db"));
        let store = Store::connect(&config, Ambient::system()).await.unwrap();
        store.migrate().await.unwrap();
        // SQLite's own way to have a full disk; numbers below what it has mean just that.
        limit(&store, 1).await;
        let large = "x".repeat(100_000);
        let refused = write(&store, &large).await.unwrap_err();
        assert!(matches!(refused, StoreError::Full(_)), "{refused:?}");
        limit(&store, u32::MAX).await;
        // A transaction that is given up, as every refused request does.
        drop(store.begin().await.unwrap());
        write(&store, "after").await.unwrap();

        let other = Store::connect(&config, Ambient::system()).await.unwrap();
        let count = "SELECT count(*) AS count FROM events";
        let row = other
            .read()
            .query_one_raw(sea_orm::Statement::from_string(other.backend(), count))
            .await
            .unwrap();
        let written: i64 = row.unwrap().try_get_by("count").unwrap();
        assert_eq!(written, 1);
    }
}
