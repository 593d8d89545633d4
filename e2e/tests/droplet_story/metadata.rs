//! The metadata service answers root of the machine, and nobody else on it.

use agentopia_test_support::binaries;

use crate::story::Story;

const SERVICE: &str = "169.254.169.254";

pub(crate) async fn is_closed(story: &Story) -> anyhow::Result<()> {
    let machine = story.cluster.machine().await?;
    // A connection says more than a request: nothing of the answer is needed.
    let connect = format!("exec 3<>/dev/tcp/{SERVICE}/80");
    machine
        .run(&["timeout", "3", "bash", "-c", &connect])
        .await?;

    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--clear-groups",
        "timeout",
        "3",
        "bash",
        "-c",
        &connect,
    ];
    let refused = machine.run(&nobody).await;
    assert!(
        refused.is_err(),
        "a process that is not root's reaches the metadata service"
    );

    // From inside the network of a tool's container: its image has no shell, so the machine's is used there,
    // as root, whom the rule for processes would let through.
    for instance in [&story.echo, &story.everything] {
        let container = machine.tool(instance.id).await?;
        let pid = machine
            .run(&["docker", "inspect", "-f", "{{.State.Pid}}", &container])
            .await?;
        let inside =
            |to: &str| format!("nsenter -t {pid} -n timeout 3 bash -c 'exec 3<>/dev/tcp/{to}'");
        let refused = machine.shell(&inside(&format!("{SERVICE}/80"))).await;
        assert!(refused.is_err(), "a tool reaches the metadata service");
        // It is this address that is closed, and not the way out.
        let registry = binaries::from_scripts("AGENTOPIA_TEST_TLS_REGISTRY")?;
        machine.shell(&inside(&registry.replace(':', "/"))).await?;
    }
    // The agent makes rules of its own, and says so where it can't.
    let said = machine
        .run(&["journalctl", "--no-pager", "-u", "agentopia-dtma"])
        .await?;
    assert!(!said.contains("may reach the metadata service"), "{said}");
    Ok(())
}
