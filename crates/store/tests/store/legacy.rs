//! The tables of the earlier model are read from their own database, whatever types they have.

use agentopia_store::{DatabaseConfig, read_legacy};
use sea_orm::{ConnectionTrait as _, Database};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::common::{TestDb, on_postgres};

const TABLES: &str = "
    CREATE TABLE agent_droplets (
        id uuid PRIMARY KEY, agent_id uuid, user_id uuid, droplet_id bigint, ip_address inet,
        status text, region varchar(10), size text, created_at timestamptz DEFAULT now());
    CREATE TABLE agent_droplet_tools (
        id serial PRIMARY KEY, agent_droplet_id uuid, tool_catalog_id text, status text,
        version text, config_details jsonb);
    INSERT INTO agent_droplets VALUES
        ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-0000000000aa',
         '00000000-0000-4000-8000-0000000000bb', 4711, '203.0.113.9', 'active', 'fra1', 's-1vcpu-1gb');
    INSERT INTO agent_droplet_tools (agent_droplet_id, tool_catalog_id, status, config_details)
    VALUES ('00000000-0000-4000-8000-000000000001', 'echo', 'active', '{\"depth\": 3}')";

#[tokio::test]
async fn rows_come_as_json_whatever_their_columns_are() {
    on_postgres(async |db: TestDb| {
        let DatabaseConfig::Postgres { url, .. } = db.config else {
            panic!("this is PostgreSQL's");
        };
        let missing = read_legacy(&url).await.unwrap_err();
        assert!(
            format!("{missing:?}").contains("agent_droplets"),
            "{missing:?}"
        );

        let old = Database::connect(url.expose_secret()).await.unwrap();
        old.execute_unprepared(TABLES).await.unwrap();
        let tables = read_legacy(&url).await.unwrap();
        let droplet = &tables["agent_droplets"][0];
        assert_eq!(droplet["user_id"], "00000000-0000-4000-8000-0000000000bb");
        assert_eq!(droplet["droplet_id"], 4711);
        assert_eq!(droplet["ip_address"], "203.0.113.9");
        let tool = &tables["agent_droplet_tools"][0];
        assert_eq!(tool["id"], 1);
        assert_eq!(tool["config_details"], json!({"depth": 3}));

        old.execute_unprepared("TRUNCATE agent_droplets")
            .await
            .unwrap();
        let tables = read_legacy(&url).await.unwrap();
        assert_eq!(tables["agent_droplets"], json!([]));
        old.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn only_postgresql_is_read() {
    let error = read_legacy(&SecretString::from("sqlite:old.db")).await;
    assert!(error.unwrap_err().to_string().contains("postgres://"));
}
