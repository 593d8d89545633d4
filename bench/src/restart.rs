//! From the start of a control plane that was killed to the first answered tool call.

use std::time::Duration;

use agentopia_test_support::mcp::ModernClient;
use agentopia_test_support::{Cluster, Runtime};
use anyhow::Context as _;
use serde_json::json;
use tokio::time::Instant;

use crate::measure::Samples;
use crate::report::Record;

/// The most that it should take, in milliseconds.
const TARGET: f64 = 1000.0;
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
    let mut samples = Samples::default();
    for _ in 0..repeats {
        cluster.control_plane.kill()?;
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
    Ok(vec![
        Record::new("restart", "first_call", samples.median(), "ms", detail).at_most(TARGET),
    ])
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
