//! The metadata service answers root of the machine, and nobody else on it.

use agentopia_domain::InstanceId;
use agentopia_test_support::{Droplet, binaries};

use crate::story::Story;

const SERVICE: &str = "169.254.169.254/80";

/// Closed, to tools by two kinds of rules; open when all rules are taken away, or this test could not see; and
/// closed again by the unit.
pub(crate) async fn is_closed_by_its_rules(story: &Story) -> anyhow::Result<()> {
    is_closed(story).await?;
    let machine = story.cluster.machine().await?;
    let tools = [story.echo.id, story.everything.id];
    for chain in ["DOCKER-USER", "OUTPUT"] {
        flush(&machine, "filter", chain).await?;
    }
    connect(&machine, &NOBODY).await?;
    for tool in tools {
        let refused = connect_from_tool(&machine, tool, SERVICE).await;
        assert!(refused.is_err(), "a tool's own rules do not hold it");
    }
    flush(&machine, "mangle", "PREROUTING").await?;
    for tool in tools {
        connect_from_tool(&machine, tool, SERVICE).await?;
    }
    machine
        .run(&["systemctl", "restart", "agentopia-metadata-block"])
        .await?;
    is_closed(story).await
}

pub(crate) async fn is_closed(story: &Story) -> anyhow::Result<()> {
    let machine = story.cluster.machine().await?;
    connect(&machine, &[]).await?;
    let refused = connect(&machine, &NOBODY).await;
    assert!(
        refused.is_err(),
        "a process that is not root's reaches the metadata service"
    );
    let registry = binaries::from_scripts("AGENTOPIA_TEST_TLS_REGISTRY")?.replace(':', "/");
    for tool in [story.echo.id, story.everything.id] {
        let refused = connect_from_tool(&machine, tool, SERVICE).await;
        assert!(refused.is_err(), "a tool reaches the metadata service");
        // It is this address that is closed, and not the way out.
        connect_from_tool(&machine, tool, &registry).await?;
    }
    // The agent makes rules of its own, and says so where it can't.
    let said = machine
        .run(&["journalctl", "--no-pager", "-u", "agentopia-dtma"])
        .await?;
    assert!(!said.contains("may reach the metadata service"), "{said}");
    Ok(())
}

async fn flush(machine: &Droplet, table: &str, chain: &str) -> anyhow::Result<()> {
    let flush = ["iptables", "--wait", "--table", table, "--flush", chain];
    machine.run(&flush).await.map(drop)
}

/// What turns root into somebody else.
const NOBODY: [&str; 3] = ["setpriv", "--reuid=65534", "--clear-groups"];

/// A connection says enough: nothing of an answer is needed.
async fn connect(machine: &Droplet, as_whom: &[&str]) -> anyhow::Result<()> {
    let line = format!("exec 3<>/dev/tcp/{SERVICE}");
    let shell = ["timeout", "3", "bash", "-c", &line];
    machine.run(&[as_whom, &shell[..]].concat()).await.map(drop)
}

/// From inside the network of a tool's container. Its image has no shell, so the machine's is used there, as
/// root, whom the rule for processes lets through.
async fn connect_from_tool(machine: &Droplet, tool: InstanceId, to: &str) -> anyhow::Result<()> {
    let container = machine.tool(tool).await?;
    let pid = ["docker", "inspect", "-f", "{{.State.Pid}}", &container];
    let pid = machine.run(&pid).await?;
    let line = format!("exec 3<>/dev/tcp/{to}");
    let inside = [
        "nsenter", "-t", &pid, "-n", "timeout", "3", "bash", "-c", &line,
    ];
    machine.run(&inside).await.map(drop)
}
