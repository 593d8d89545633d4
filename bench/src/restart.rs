//! From the start of a control plane that was killed to the first answered tool call; and how much of it is
//! the database's: how long the same file takes, as the kill left it, to be opened and recovered, found to be of
//! this version, and read for the gateway's table, by a process that does nothing else. The control plane asks it
//! for more than that before it answers, which is counted as the control plane's.

use std::path::Path;
use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_store::{DatabaseConfig, Store};
use agentopia_test_support::mcp::ModernClient;
use agentopia_test_support::{Cluster, Runtime};
use anyhow::Context as _;
use serde_json::json;
use tokio::time::Instant;

use crate::measure::Samples;
use crate::report::Record;

/// The most that it should take, in milliseconds, and beside what the database takes.
const TARGET: f64 = 1000.0;
const BESIDE_DATABASE: f64 = 20.0;
/// The database's file, and how those beside it begin.
const FILE: &str = "agentopia.db";
/// Between two attempts while it is not up.
const PAUSE: Duration = Duration::from_millis(2);
/// When it is given up.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn run(repeats: u16) -> anyhow::Result<Vec<Record>> {
    let mut cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let echo = cluster.deploy("echo").await?;
    let agent = cluster.agent_with("bench", &[echo.id]).await?;
    let client = agent.modern()?;
    answered(&client).await?;
    let (mut samples, mut database) = (Samples::default(), Samples::default());
    for _ in 0..repeats {
        cluster.control_plane.kill()?;
        database.add(opened(&cluster.data_dir()).await?);
        let began = Instant::now();
        cluster.control_plane.spawn()?;
        answered(&client).await?;
        samples.add(began.elapsed());
    }
    cluster.finish().await?;
    let detail = format!(
        "kill -9, then from the start of `agentopia serve` (SQLite, Docker) to an answered tools/call through the agent's endpoint; {}",
        samples.spread()
    );
    let record =
        |metric, value, detail: String| Record::new("restart", metric, value, "ms", detail);
    let beside = samples.median() - database.median();
    Ok(vec![
        record("first_call", samples.median(), detail).at_most(TARGET),
        record(
            "database",
            database.median(),
            format!(
                "a copy of its file opened, checked and read by itself; {}",
                database.spread()
            ),
        ),
        record(
            "first_call beside the database",
            beside,
            "the difference of the medians".to_owned(),
        )
        .at_most(BESIDE_DATABASE),
    ])
}

/// How long the database in this directory takes to be ready and read. Of a copy: nothing is to be better off
/// for it afterwards.
async fn opened(data: &Path) -> anyhow::Result<Duration> {
    let copy = tempfile::Builder::new()
        .prefix("agentopia-bench-")
        .tempdir()?;
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name();
        // The file, its log and the index of that.
        if name.to_string_lossy().starts_with(FILE) {
            std::fs::copy(entry.path(), copy.path().join(name))?;
        }
    }
    let config = DatabaseConfig::sqlite(copy.path().join(FILE));
    let began = Instant::now();
    let store = Store::connect(&config, Ambient::system()).await?;
    store.migrate().await?;
    let snapshot = store.gateway_snapshot().await?;
    let took = began.elapsed();
    anyhow::ensure!(!snapshot.agents.is_empty(), "the copy has no agents");
    store.close().await?;
    Ok(took)
}

/// Asks until the tool answers.
async fn answered(client: &ModernClient) -> anyhow::Result<()> {
    let asking = async {
        loop {
            let said = client.call("echo", json!({"text": "hello"})).await;
            if said.is_ok_and(|said| said.text() == "hello") {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(LIMIT, asking)
        .await
        .context("the tool does not answer any more")
}
