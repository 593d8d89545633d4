//! A tool with a port of its own on a real machine (TOOL-11): from deploying it without a word on who
//! may reach it, to the port being gone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use agentopia_api::instance::Instance;
use agentopia_domain::InstanceId;
use agentopia_domain::instance::InstanceStatus;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::api::refused;
use agentopia_test_support::fixtures::EchoEntry;
use agentopia_test_support::{Cluster, Runtime, wait_for};
use anyhow::Context as _;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
/// Two networks that a client on this machine can come from.
const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Whether the tool answers a client from there.
async fn answers(address: SocketAddr, from: Ipv4Addr) -> anyhow::Result<bool> {
    let client = reqwest::Client::builder()
        .local_address(IpAddr::V4(from))
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()?;
    Ok(client
        .get(format!("http://{address}/"))
        .send()
        .await
        .is_ok())
}

/// Where the tool is reached directly, once it is.
async fn opened(cluster: &Cluster, id: InstanceId) -> anyhow::Result<SocketAddr> {
    wait_for(SOON, "the port to be let in", async || {
        let access = cluster.admin.instance(id).await?.direct_access;
        let access = access.context("it has no direct access")?;
        access
            .address
            .with_context(|| format!("closed: {access:?}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_with_a_port_is_reached_from_where_its_owner_says() -> anyhow::Result<()> {
    let cluster = Cluster::local()
        .runtime(Runtime::Docker)
        .set("AGENTOPIA_DIRECT_ACCESS_RANGES", "127.0.0.0/8")
        .start()
        .await?;
    let admin = &cluster.admin;
    EchoEntry::new("echo-direct", &["--http", "0.0.0.0:8000"])
        .with(
            "/transport",
            json!({"type": "streamable_http", "port": 8000, "path": "/mcp"}),
        )
        .with(
            "/direct_access",
            json!({"port": 8000, "purpose": "For tests."}),
        )
        .add(admin)
        .await?;

    // Nobody is let in whom nobody named, and nobody whom the operator does not allow.
    let mut request = deployment("echo-direct");
    for wrong in [&[][..], &["0.0.0.0/0"], &["127.0.0.1/8"], &["here"]] {
        request.allow_from = wrong.iter().map(|&text| text.to_owned()).collect();
        let outcome = admin.post::<Value>("/api/v1/instances", &request).await;
        let problem = refused(outcome, "invalid_input")?;
        assert_eq!(problem.errors[0].field, "allow_from");
    }
    let mut plain = deployment("echo");
    plain.allow_from = vec![ONE.to_string()];
    let outcome = admin.post::<Value>("/api/v1/instances", &plain).await;
    let problem = refused(outcome, "invalid_input")?;
    assert!(problem.detail.contains("has no port"), "{problem:?}");

    request.allow_from = vec![OTHER.to_string()];
    let tool = cluster.deploy_with(request).await?;
    let address = opened(&cluster, tool.id).await?;
    assert!(answers(address, OTHER).await?);
    assert!(!answers(address, ONE).await?);
    // The gateway's own way is another one.
    let by_hand = admin
        .call(tool.id, "echo", json!({"text": "hello"}))
        .await?;
    assert!(!by_hand.is_error);

    // Other networks hold without another container.
    let cli = cluster.cli()?;
    let update = [
        "tools",
        "update",
        "echo-direct",
        "--allow-from",
        "127.0.0.1",
    ];
    let updated: Instance = cli.json(&update).await?;
    assert_eq!(
        updated.direct_access.map(|it| it.sources),
        Some(vec!["127.0.0.1/32".to_owned()])
    );
    assert_eq!(opened(&cluster, tool.id).await?, address);
    wait_for(SOON, "the other network to be let in", async || {
        anyhow::ensure!(answers(address, ONE).await? && !answers(address, OTHER).await?);
        Ok(())
    })
    .await?;
    let now = admin.instance(tool.id).await?;
    assert_eq!(now.runtime.container_id, tool.runtime.container_id);

    admin.instance_verb(tool.id, "stop").await?;
    let stopped = admin
        .wait_status(tool.id, InstanceStatus::Stopped, SOON)
        .await?;
    assert_eq!(stopped.direct_access.and_then(|it| it.address), None);
    assert!(!answers(address, ONE).await? && !answers(address, OTHER).await?);
    admin.instance_verb(tool.id, "start").await?;
    cluster.running(tool.id).await?;
    assert_eq!(
        opened(&cluster, tool.id).await?,
        address,
        "the port is its own"
    );
    assert!(answers(address, ONE).await?);

    admin.remove(tool.id, true).await?;
    cluster.removed(tool.id, false).await?;
    assert!(!answers(address, ONE).await?);
    cluster.finish().await
}
