//! From `agentopia tools deploy` to the first answered tool call, against raw `docker run`.
//!
//! The clock starts when the command line is started and ends with the answer that the agent gets at
//! its own MCP endpoint, in a session of its own. The image is present, the
//! environment is on, the agent and its token exist. The link can only be made once the instance
//! exists, so making it (one API call) is counted. Everything that the product does more than raw
//! `docker run` (its own network, hardening, records, health) is counted too.

use std::path::Path;
use std::time::Duration;

use agentopia_api::instance::Instance;
use agentopia_domain::instance::InstanceStatus;
use agentopia_test_support::cli::Cli;
use agentopia_test_support::{Cluster, Runtime, TestAgent};
use serde_json::json;
use tokio::time::Instant;

use crate::client::Session;
use crate::measure::Samples;
use crate::raw;
use crate::report::Record;

const BENCH: &str = "deploy";
/// The most that the ratio should be.
const TARGET: f64 = 1.3;
/// How long an instance may take until nothing of it is left.
const REMOVAL: Duration = Duration::from_secs(60);

/// When the parts of one deployment were over, counted from its start.
struct Took {
    running: Duration,
    linked: Duration,
    session: Duration,
    answered: Duration,
}

pub(crate) async fn run(
    repeats: u16,
    network: &str,
    logs: Option<&Path>,
) -> anyhow::Result<Vec<Record>> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let cli = cluster.cli()?;
    let agent = cluster.agent_with("bench", &[]).await?;
    let image = raw::echo_image()?;
    // Once without being counted: the environment is turned on, the image pulled, caches are warm.
    once(&cluster, &cli, &agent).await?;
    raw::first_call(&image, network).await?;
    raw::first_call_on_own_network(&image).await?;

    let (mut plain, mut own) = (Samples::default(), Samples::default());
    let [mut running, mut link, mut open, mut call, mut answered] =
        [(); 5].map(|()| Samples::default());
    for _ in 0..repeats {
        plain.add(raw::first_call(&image, network).await?);
        let took = once(&cluster, &cli, &agent).await?;
        running.add(took.running);
        link.add(took.linked - took.running);
        open.add(took.session - took.linked);
        call.add(took.answered - took.session);
        answered.add(took.answered);
        own.add(raw::first_call_on_own_network(&image).await?);
    }
    if let Some(file) = logs {
        std::fs::write(file, cluster.logs())?;
    }
    cluster.finish().await?;

    let time = |metric, samples: &Samples, how: &str| {
        let detail = format!("{how}; {}", samples.spread());
        Record::new(BENCH, metric, samples.median(), "ms", detail)
    };
    let ratio = |metric, to: &Samples, how: &str| {
        Record::new(BENCH, metric, answered.median() / to.median(), "x", how)
    };
    Ok(vec![
        time(
            "raw",
            &plain,
            &format!("`docker run -i` on the network `{network}` to the first answered tools/call"),
        ),
        time(
            "raw_own_network",
            &own,
            "`docker network create` and `docker run -i --network` to the first answered tools/call",
        ),
        time(
            "product",
            &answered,
            "`agentopia tools deploy` to the first answered tools/call",
        ),
        time(
            "product.running",
            &running,
            "of it: until `tools deploy` has ended",
        ),
        time("product.link", &link, "of it: linking"),
        time("product.session", &open, "of it: opening the session"),
        time("product.call", &call, "of it: the call"),
        ratio(
            "product_to_raw",
            &plain,
            "ratio of the medians, measured in turn",
        )
        .at_most(TARGET),
        ratio(
            "product_to_raw_own_network",
            &own,
            "the same against raw Docker with a network of its own, as each tool of the product has",
        ),
    ])
}

/// One deployment, measured; the instance is gone when this returns.
async fn once(cluster: &Cluster, cli: &Cli, agent: &TestAgent) -> anyhow::Result<Took> {
    let began = Instant::now();
    let instance: Instance = cli
        .json(&["tools", "deploy", "echo", "--name", "echo"])
        .await?;
    let running = began.elapsed();
    agent.link(instance.id, true).await?;
    let linked = began.elapsed();
    let session = Session::open(agent).await?;
    let opened = began.elapsed();
    let said = session.call("echo", json!({"text": "hello"})).await?;
    let answered = began.elapsed();
    anyhow::ensure!(
        said["content"][0]["text"] == "hello",
        "the tool answered {said}"
    );
    session.close().await?;
    cluster.admin.remove(instance.id, true).await?;
    cluster
        .admin
        .wait_status(instance.id, InstanceStatus::Removed, REMOVAL)
        .await?;
    Ok(Took {
        running,
        linked,
        session: opened,
        answered,
    })
}
