//! Reads the tables of the earlier model from its own PostgreSQL database (ENV-13). Nothing is
//! written there, and nothing of it is kept here: what becomes of the rows is decided elsewhere.

use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement,
};
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;

use crate::config::DatabaseConfig;
use crate::error::StoreError;

/// How long the other database may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The tables, as they are called there.
const TABLES: [&str; 2] = ["agent_droplets", "agent_droplet_tools"];

/// The rows of `agent_droplets` and `agent_droplet_tools` in the database at `url`, as one JSON
/// object with an array for each.
///
/// # Errors
/// [`StoreError::Config`] for another address than PostgreSQL's; otherwise what the database says,
/// for example that a table is missing.
pub async fn read_legacy(url: &SecretString) -> Result<serde_json::Value, StoreError> {
    let DatabaseConfig::Postgres { url, .. } = DatabaseConfig::parse(url.expose_secret())? else {
        return Err(StoreError::Config(
            "the earlier model is read from PostgreSQL: use postgres://…".into(),
        ));
    };
    let mut options = ConnectOptions::new(url.expose_secret());
    options
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .set_application_name("agentopia import-legacy")
        .sqlx_logging(false);
    let database = Database::connect(options).await?;
    let mut all = serde_json::Map::new();
    for table in TABLES {
        all.insert(table.to_owned(), rows(&database, table).await?);
    }
    database.close().await?;
    Ok(all.into())
}

/// All columns, whatever their types are: the database makes JSON of them.
async fn rows(
    database: &DatabaseConnection,
    table: &'static str,
) -> Result<serde_json::Value, StoreError> {
    let sql = format!(
        "SELECT coalesce(json_agg(row_to_json(t) ORDER BY t.id), '[]')::text AS rows FROM {table} t"
    );
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let found = database.query_one_raw(statement).await?;
    let text: String = match found {
        Some(row) => row.try_get("", "rows")?,
        None => "[]".to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| StoreError::Corrupt {
        column: table,
        problem: error.to_string(),
    })
}
