//! What runs on the machine, so that a step can say that it went on, or was started anew.

use agentopia_test_support::Droplet;

use crate::story::Story;

/// The agent, and the first processes of both tools with the time of their start.
pub(crate) async fn running(machine: &Droplet, story: &Story) -> anyhow::Result<Vec<String>> {
    let mut processes = vec![main_process(machine, "agentopia-dtma").await?];
    for instance in [&story.echo, &story.everything] {
        let container = machine.tool(instance.id).await?;
        let state = [
            "docker",
            "inspect",
            "-f",
            "{{.State.Pid}} {{.State.StartedAt}}",
            &container,
        ];
        processes.push(machine.run(&state).await?);
    }
    Ok(processes)
}

/// The main process of a unit; 0 where there is none.
pub(crate) async fn main_process(machine: &Droplet, unit: &str) -> anyhow::Result<String> {
    machine
        .run(&[
            "systemctl",
            "show",
            "--property",
            "MainPID",
            "--value",
            unit,
        ])
        .await
}
