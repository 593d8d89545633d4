//! Rule 20: the official conformance suite, through control plane, gateway and DTMA to a server in a
//! container that is built on the official Rust SDK and fails nothing by itself; and the suite's own servers with
//! the product as their client.

use std::process::Stdio;
use std::time::Duration;

use agentopia_e2e::door::Door;
use agentopia_e2e::peers::root;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::fixtures::image;
use agentopia_test_support::{Cluster, Runtime};
use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::process::Command;

/// A run of both revisions takes a minute on a machine with nothing else to do.
const LIMIT: Duration = Duration::from_secs(240);

/// The reference server of `tools/reference` as a catalog entry.
fn reference() -> anyhow::Result<Value> {
    let (image, digest) = image("reference")?;
    Ok(json!({
        "slug": "reference",
        "name": "Reference",
        "packaging": {"type": "docker_image", "image": image},
        "transport": {"type": "streamable_http", "port": 8080, "path": "/mcp"},
        "versions": [{"version": "1", "digest": digest}],
        "default_version": "1",
        "resources": {"cpu_millis": 500, "memory_bytes": 67_108_864, "pids": 32},
        "status": "available",
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_20_the_conformance_suite_fails_nothing_through_the_product() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let admin = &cluster.admin;
    admin
        .post::<Value>("/api/v1/catalog", &reference()?)
        .await?;
    let instance = cluster.deploy_with(deployment("reference")).await?;
    let agent = cluster.agent_with("conformance", &[instance.id]).await?;
    // Behind the instance's own endpoint, where names are the server's.
    let door = Door::to(&instance.mcp_url, &agent.token).await?;
    let mut suite = Command::new(root().join("script/conformance"));
    suite.arg(&door.url);
    for verdict in fails_nothing(suite).await? {
        println!("{verdict}");
    }
    cluster.finish().await
}

/// Where the product says that it is, so that servers may read who it is; nobody does.
const PUBLIC_URL: &str = "https://agentopia.test";

#[tokio::test(flavor = "multi_thread")]
async fn the_conformance_suite_fails_nothing_with_the_product_as_the_client() -> anyhow::Result<()>
{
    let cluster = Cluster::local()
        .set("AGENTOPIA_REMOTE_ALLOW", "127.0.0.0/8,::1/128")
        .set("AGENTOPIA_PUBLIC_URL", PUBLIC_URL)
        .start()
        .await?;
    let base = cluster.control_plane.base_url();
    let session = cluster.admin.browser_session("admin@example.com").await?;
    let mut suite = Command::new(root().join("script/conformance"));
    let node = std::env::var("AGENTOPIA_TEST_NODE").context("run by script/test")?;
    let client = root().join("e2e/peers/conformance_client.mjs");
    suite
        .args(["client", &format!("{node} {}", client.display())])
        .env("AGENTOPIA_AT", base)
        .env("AGENTOPIA_PUBLIC_URL", PUBLIC_URL)
        .env("AGENTOPIA_COOKIE", session.cookie)
        .env("AGENTOPIA_CSRF", session.csrf)
        .env(
            "NODE_MODULES",
            std::env::var("AGENTOPIA_TEST_NODE_MODULES")?,
        );
    for verdict in fails_nothing(suite).await? {
        println!("{verdict}");
    }
    cluster.finish().await
}

/// Runs the suite; nothing fails in either revision. What it counted.
async fn fails_nothing(mut suite: Command) -> anyhow::Result<Vec<String>> {
    let suite = suite.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(LIMIT, suite).await;
    let output = output.context("the suite does not end")??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{said}\n{words}");
    let mut verdicts = Vec::new();
    for revision in ["2026-07-28", "2025-11-25"] {
        let verdict = said.lines().find(|line| line.starts_with(revision));
        let verdict = verdict.with_context(|| said.clone())?;
        let counted = verdict
            .split([' ', ':'])
            .filter_map(|word| word.parse::<u32>().ok());
        let counted: Vec<_> = counted.take(2).collect();
        anyhow::ensure!(
            matches!(counted[..], [passed, 0] if passed > 0),
            "{verdict}"
        );
        verdicts.push(verdict.to_owned());
    }
    Ok(verdicts)
}
