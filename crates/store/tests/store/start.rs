//! Opening, migrating, reopening.

use agentopia_domain::Ambient;
use agentopia_store::{DatabaseConfig, Store};
use futures::future::join_all;
use sea_orm::{ConnectionTrait as _, Database};

use crate::common::{TestDb, on_both_engines};

on_both_engines!(
    replicas_that_start_at_once_migrate_once,
    what_was_written_is_there_after_a_restart,
    a_database_of_a_newer_version_is_left_alone,
);

async fn replicas_that_start_at_once_migrate_once(db: TestDb) {
    // The harness migrated already; begin anew with an empty database.
    let raw = raw(&db).await;
    if db.store.engine() == "postgres" {
        raw.execute_unprepared("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            .await
            .unwrap();
    }
    let config = match &db.config {
        DatabaseConfig::Sqlite { path, .. } => {
            DatabaseConfig::sqlite(path.with_file_name("fresh.db"))
        }
        postgres => postgres.clone(),
    };
    let starts = (0..8).map(|_| {
        let (config, ambient) = (config.clone(), db.ambient.clone());
        tokio::spawn(async move {
            let store = Store::connect(&config, ambient).await?;
            store.migrate().await?;
            store.ping().await?;
            store.users().is_empty().await
        })
    });
    for start in join_all(starts).await {
        assert!(start.unwrap().unwrap());
    }
}

async fn what_was_written_is_there_after_a_restart(db: TestDb) {
    let account = db.account("a@example.org").await;
    let written = db.instance(account, "Wetter für Köln").await;
    let again = db.another_replica().await;
    again.migrate().await.unwrap();
    assert_eq!(
        again.instances().get(account, written.id).await.unwrap(),
        written
    );
    // Microseconds came through on both engines.
    assert_eq!(written.created_at.timestamp_micros() % 1_000_000, 123_456);
    if let DatabaseConfig::Sqlite { path, .. } = &db.config {
        use std::os::unix::fs::PermissionsExt as _;
        for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.path());
        }
    }
}

async fn a_database_of_a_newer_version_is_left_alone(db: TestDb) {
    let raw = raw(&db).await;
    raw.execute_unprepared(
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 0)",
    )
    .await
    .unwrap();
    let error = db.store.migrate().await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("m9999_future"), "{source}");
    db.store.ping().await.unwrap();
}

/// A connection past the store, for what the store does not do.
pub(crate) async fn raw(db: &TestDb) -> sea_orm::DatabaseConnection {
    let url = match &db.config {
        DatabaseConfig::Sqlite { path, .. } => format!("sqlite://{}", path.display()),
        DatabaseConfig::Postgres { url, .. } => {
            secrecy::ExposeSecret::expose_secret(url).to_owned()
        }
    };
    Database::connect(url).await.unwrap()
}

#[tokio::test]
async fn what_can_not_be_opened_says_so() {
    let nowhere = DatabaseConfig::sqlite("/nonexistent/directory/agentopia.db");
    let error = Store::connect(&nowhere, Ambient::system())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/nonexistent"), "{error}");
}
