//! The seam between the store and its database. In production nothing stands there.
//!
//! A deterministic simulation puts something there ([`Store::behind`](crate::Store::behind)): it
//! decides whose turn it is to use the database, cuts replicas off at any point as a crash would, and
//! sets the database's clock. So the simulation runs the real statements on a real SQLite file, and
//! still every run can be repeated. The same habit as `Transport` of the DigitalOcean client.

use std::fmt;
use std::sync::Arc;

use agentopia_domain::event::NewEvent;
use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, Statement,
};

use crate::dialect;

/// What the database is about to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// One statement that changes nothing, or a transaction of such.
    Read,
    /// A transaction that writes.
    Write,
}

/// Leave to use the database; given back by dropping it.
pub type Turn = Box<dyn Send + Sync>;

/// There is no way to the database (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the way to the database is cut off")]
pub struct CutOff;

/// Stands between a store and its database.
#[async_trait]
pub trait Seam: fmt::Debug + Send + Sync {
    /// Waits for leave to use the database.
    ///
    /// # Errors
    /// [`CutOff`]: nothing has happened then.
    async fn turn(&self, access: Access) -> Result<Turn, CutOff>;

    /// A transaction that writes these events is about to commit.
    ///
    /// # Errors
    /// [`CutOff`]: it is undone.
    fn before_commit(&self, events: &[NewEvent]) -> Result<(), CutOff>;

    /// It did.
    ///
    /// # Errors
    /// [`CutOff`]: whoever asked for it is not told.
    fn after_commit(&self) -> Result<(), CutOff>;

    /// The database's clock, in microseconds since 1970.
    fn database_now(&self) -> i64;
}

impl From<CutOff> for DbErr {
    fn from(cut: CutOff) -> Self {
        Self::Conn(RuntimeErr::Internal(cut.to_string()))
    }
}

/// What the store asks its questions of.
pub(crate) struct Connection {
    inner: DatabaseConnection,
    seam: Option<Arc<dyn Seam>>,
}

/// A transaction; dropping it undoes everything.
pub(crate) struct Transaction {
    inner: DatabaseTransaction,
    seam: Option<Arc<dyn Seam>>,
    /// Held until the transaction has ended.
    _turn: Option<Turn>,
}

impl Connection {
    pub(crate) fn new(inner: DatabaseConnection) -> Self {
        Self { inner, seam: None }
    }

    /// The same connections, with something before them.
    pub(crate) fn behind(&self, seam: Arc<dyn Seam>) -> Self {
        Self {
            inner: self.inner.clone(),
            seam: Some(seam),
        }
    }

    /// See [`dialect::begin`].
    pub(crate) async fn begin(&self) -> Result<Transaction, DbErr> {
        let turn = self.turn(Access::Write).await?;
        let inner = dialect::begin(&self.inner).await?;
        Ok(self.transaction(inner, turn))
    }

    /// See [`dialect::begin_snapshot`].
    pub(crate) async fn begin_snapshot(&self) -> Result<Transaction, DbErr> {
        let turn = self.turn(Access::Read).await?;
        let inner = dialect::begin_snapshot(&self.inner).await?;
        Ok(self.transaction(inner, turn))
    }

    pub(crate) async fn close(&self) -> Result<(), DbErr> {
        self.inner.close_by_ref().await
    }

    /// The database's clock as an SQL expression; see [`dialect::now_sql`].
    pub(crate) fn now_sql(&self) -> String {
        now_sql(self.seam.as_deref(), self.get_database_backend())
    }

    fn transaction(&self, inner: DatabaseTransaction, turn: Option<Turn>) -> Transaction {
        Transaction {
            inner,
            seam: self.seam.clone(),
            _turn: turn,
        }
    }

    async fn turn(&self, access: Access) -> Result<Option<Turn>, CutOff> {
        match &self.seam {
            Some(seam) => seam.turn(access).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Transaction {
    /// For migrations, which want the library's own type.
    pub(crate) fn inner(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// The database's clock as an SQL expression; see [`dialect::now_sql`].
    pub(crate) fn now_sql(&self) -> String {
        now_sql(self.seam.as_deref(), self.get_database_backend())
    }

    /// Undoes it, and waits for that.
    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        self.inner.rollback().await
    }

    /// Commits; `events` are what it wrote to the stream.
    pub(crate) async fn commit(self, events: &[NewEvent]) -> Result<(), DbErr> {
        if let Some(seam) = &self.seam {
            seam.before_commit(events)?;
        }
        self.inner.commit().await?;
        match &self.seam {
            Some(seam) => Ok(seam.after_commit()?),
            None => Ok(()),
        }
    }
}

fn now_sql(seam: Option<&dyn Seam>, backend: DbBackend) -> String {
    match seam {
        Some(seam) => seam.database_now().to_string(),
        None => dialect::now_sql(backend).to_owned(),
    }
}

#[async_trait]
impl ConnectionTrait for Connection {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let _turn = self.turn(Access::Write).await?;
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let _turn = self.turn(Access::Write).await?;
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let _turn = self.turn(Access::Read).await?;
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let _turn = self.turn(Access::Read).await?;
        self.inner.query_all_raw(statement).await
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(statement).await
    }
}
