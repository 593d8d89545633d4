//! Another version is installed beside the control plane: machines change over to it by themselves,
//! their containers go on, and a version that does not work does not stay (DTMA-8).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use agentopia_api::event::Event;
use agentopia_domain::event::Outcome;
use agentopia_test_support::cluster::Runtime;
use agentopia_test_support::wait::wait_for;
use agentopia_test_support::{Cluster, binaries};
use anyhow::Context as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// A machine begins within half a minute, so that a fleet does not come at once.
const UPDATED: Duration = Duration::from_secs(90);

/// Puts a program in the place of another, as a package manager does.
fn install(path: &Path, content: &[u8]) -> anyhow::Result<String> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(&new, path)?;
    Ok(hex::encode(Sha256::digest(content)))
}

/// The report of an update to the program of this digest.
async fn told(cluster: &Cluster, sha256: &str) -> anyhow::Result<Event> {
    let environment = cluster.machine().await?.environment.as_uuid();
    wait_for(UPDATED, "the report of an update", async || {
        let events = cluster.admin.timeline(environment).await?;
        let ours = |event: &&Event| {
            event.kind == "environment.dtma_update" && event.data["sha256"] == sha256
        };
        events.iter().find(ours).cloned().context("not told yet")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_follow_the_installation_and_leave_what_does_not_work() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let dtma = directory.path().join("dtma");
    let first = fs::read(binaries::built("dtma")?)?;
    install(&dtma, &first)?;
    let mut cluster = Cluster::local()
        .runtime(Runtime::Docker)
        .set("AGENTOPIA_DTMA_BINARY", &dtma.to_string_lossy())
        .start()
        .await?;
    let echo = cluster.deploy("echo").await?;
    let machine = cluster.machine().await?;
    let container = machine.container(echo.id).await?;

    let crashes = install(
        &dtma,
        b"#!/bin/sh\n[ \"$1\" = check ] && echo dtma 9.9.9 && exit 0\nexit 7\n",
    )?;
    cluster.control_plane.stop().await?;
    cluster.control_plane.start().await?;
    let event = told(&cluster, &crashes).await?;
    assert_eq!(event.outcome, Outcome::Failed);
    assert!(
        event.message.contains("exit status: 7"),
        "{}",
        event.message
    );

    let mut second = first;
    second.extend_from_slice(b"another build");
    let good = install(&dtma, &second)?;
    cluster.control_plane.stop().await?;
    cluster.control_plane.start().await?;
    let event = told(&cluster, &good).await?;
    assert_eq!(event.outcome, Outcome::Succeeded);

    // The same container, and a tool that answers.
    assert_eq!(machine.container(echo.id).await?, container);
    cluster
        .admin
        .call(echo.id, "echo", json!({"text": "after the update"}))
        .await?;
    let shown = cluster.admin.environment().await?;
    assert_eq!(
        shown.dtma_version.as_deref(),
        Some(env!("CARGO_PKG_VERSION"))
    );
    cluster.finish().await
}
