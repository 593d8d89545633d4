//! A database of its own for every test, on either engine, gone afterwards whatever happens.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentopia_domain::{Ambient, Clock, SystemEntropy};
use agentopia_store::{DatabaseConfig, SqliteSync, Store};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait as _, Database};
use tempfile::TempDir;

/// Makes a SQLite and a PostgreSQL test of each `async fn(TestDb)`.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn sqlite() {
                $crate::common::on_sqlite(super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn postgres() {
                $crate::common::on_postgres(super::$name).await;
            }
        }
    )+};
}
pub(crate) use on_both_engines;

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += TimeDelta::from_std(by).unwrap();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// What a test gets.
#[derive(Debug, Clone)]
pub(crate) struct TestDb {
    pub(crate) store: Store,
    pub(crate) config: DatabaseConfig,
    pub(crate) ambient: Ambient,
    pub(crate) clock: Arc<ManualClock>,
}

impl TestDb {
    /// Another control plane on the same database, with connections of its own.
    pub(crate) async fn another_replica(&self) -> Store {
        Store::connect(&self.config, self.ambient.clone())
            .await
            .unwrap()
    }
}

/// Polls until `condition` holds; fails loudly after 20 seconds.
pub(crate) async fn wait_for<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let wait = async {
        while !condition().await {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

pub(crate) async fn on_sqlite<F: Future<Output = ()> + Send + 'static>(
    test: impl FnOnce(TestDb) -> F + Send + 'static,
) {
    let dir = TempDir::new().unwrap();
    let config = DatabaseConfig::Sqlite {
        path: dir.path().join("agentopia.db"),
        sync: SqliteSync::Normal,
    };
    let db = open(config).await;
    let store = db.store.clone();
    let outcome = tokio::spawn(test(db)).await;
    store.close().await.unwrap();
    drop(dir);
    if let Err(failed) = outcome {
        resume_unwind(failed.into_panic());
    }
}

pub(crate) async fn on_postgres<F: Future<Output = ()> + Send + 'static>(
    test: impl FnOnce(TestDb) -> F + Send + 'static,
) {
    let admin_url = std::env::var("AGENTOPIA_TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!(
            "AGENTOPIA_TEST_POSTGRES_URL is not set: run the tests with script/test, which starts \
             a private PostgreSQL (or: eval \"$(script/services env)\")"
        )
    });
    let name = format!("test_{}", Ambient::system().new_id::<uuid::Uuid>().simple());
    let admin = Database::connect(&admin_url).await.unwrap();
    admin
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let (server, _) = admin_url.rsplit_once('/').unwrap();
    let config = DatabaseConfig::parse(&format!("{server}/{name}")).unwrap();
    let outcome = tokio::spawn(async {
        let db = open(config).await;
        let store = db.store.clone();
        test(db).await;
        store.close().await.unwrap();
    })
    .await;
    admin
        .execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .unwrap();
    admin.close().await.unwrap();
    if let Err(failed) = outcome {
        resume_unwind(failed.into_panic());
    }
}

async fn open(config: DatabaseConfig) -> TestDb {
    let start = DateTime::from_timestamp_micros(1_750_000_000_123_456).unwrap();
    let clock = Arc::new(ManualClock(Mutex::new(start)));
    let ambient = Ambient::new(clock.clone(), Arc::new(SystemEntropy));
    let store = Store::connect(&config, ambient.clone()).await.unwrap();
    store.migrate().await.unwrap();
    TestDb {
        store,
        config,
        ambient,
        clock,
    }
}
