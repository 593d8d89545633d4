//! An HTTP server in a container.

use std::time::Duration;

use agentopia_domain::catalog::Transport;
use agentopia_domain::spec::InstanceSpec;
use agentopia_dtma::health;
use agentopia_dtma::runtime::{RunState, Runtime as _, ToolChannel};

use crate::machine::Machine;
use crate::support::wait_for;

pub(crate) async fn http_echo(machine: &Machine) -> InstanceSpec {
    let mut spec = machine.echo().await;
    spec.program.args = vec!["--http".into(), "0.0.0.0:8080".into()];
    spec.transport = Transport::StreamableHttp {
        port: 8080,
        path: "/mcp".into(),
    };
    spec
}

#[tokio::test]
async fn it_is_reached_on_its_own_address_and_measured() {
    let machine = Machine::new().await;
    let spec = http_echo(&machine).await;
    machine.start(&spec).await;
    let tool = machine.tool(&spec).await;
    let ToolChannel::Http { address, path } = &tool.channel else {
        panic!("not an HTTP tool")
    };
    assert_eq!((address.port(), path.as_str()), (8080, "/mcp"));
    let health = health::probe(&tool, Duration::from_secs(20)).await.unwrap();
    assert_eq!(health.name.as_deref(), Some("agentopia-echo"));
    machine.runtime.usage(spec.instance_id).await.unwrap();
    let usage = machine.runtime.usage(spec.instance_id).await.unwrap();
    assert!((1..64 << 20).contains(&usage.memory_bytes), "{usage:?}");
    assert!(usage.network_rx_bytes > 0, "{usage:?}");
}

#[tokio::test]
async fn one_that_listens_where_nobody_reaches_it_is_told_so() {
    let machine = Machine::new().await;
    for (address, part) in [
        ("127.0.0.1:8080", "127.0.0.1:8080 alone"),
        (
            "0.0.0.0:3000",
            "0.0.0.0:3000, and its catalog entry says port 8080",
        ),
    ] {
        let mut spec = http_echo(&machine).await;
        spec.program.args[1] = address.to_owned();
        machine.start(&spec).await;
        let tool = machine.tool(&spec).await;
        let patience = Duration::from_secs(2);
        let failed = health::probe(&tool, patience).await.unwrap_err();
        assert!(failed.explanation.contains("did not answer"), "{failed}");
        let listeners = machine.runtime.listeners(spec.instance_id).await.unwrap();
        assert_eq!(listeners, [address.parse().unwrap()]);
        let why = health::why_silent(&tool, &listeners).unwrap();
        assert!(why.contains(part), "{why}");
    }
}

#[tokio::test]
async fn its_end_is_noticed_and_a_new_start_brings_it_back_in_the_same_container() {
    let machine = Machine::new().await;
    let spec = http_echo(&machine).await;
    let mut exits = machine.runtime.exits();
    machine.start(&spec).await;
    health::probe(&machine.tool(&spec).await, Duration::from_secs(20))
        .await
        .unwrap();
    let container = machine.inspect(&spec).await.id;
    let name = format!("agentopia-{}", spec.instance_id);
    let top = machine.docker.top_processes(&name, None).await.unwrap();
    let server = top
        .processes
        .unwrap()
        .into_iter()
        .find(|process| {
            process
                .iter()
                .any(|field| field.contains("--http") && !field.contains("tool-init"))
        })
        .unwrap();
    let pid: i32 = server[1].parse().unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let gone = tokio::time::timeout(Duration::from_secs(20), exits.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(gone, spec.instance_id);
    let seen = machine
        .runtime
        .inspect(spec.instance_id)
        .await
        .unwrap()
        .unwrap();
    let RunState::Exited(info) = seen.state else {
        panic!("{seen:?}")
    };
    assert_eq!((info.signal, info.out_of_memory), (Some(9), false));
    assert!(machine.runtime.tool(spec.instance_id).await.is_none());
    machine.start(&spec).await;
    assert_eq!(machine.inspect(&spec).await.id, container);
    health::probe(&machine.tool(&spec).await, Duration::from_secs(20))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_end_of_its_container_is_noticed_too() {
    let machine = Machine::new().await;
    let spec = http_echo(&machine).await;
    machine.start(&spec).await;
    let mut exits = machine.runtime.exits();
    let name = format!("agentopia-{}", spec.instance_id);
    machine.docker.kill_container(&name, None).await.unwrap();
    let gone = tokio::time::timeout(Duration::from_secs(20), exits.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(gone, spec.instance_id);
    wait_for("the container to count as ended", || async {
        let seen = machine
            .runtime
            .inspect(spec.instance_id)
            .await
            .unwrap()
            .unwrap();
        (matches!(seen.state, RunState::Exited(_))
            && machine.runtime.tool(spec.instance_id).await.is_none())
        .then_some(())
    })
    .await;
    machine.start(&spec).await;
    health::probe(&machine.tool(&spec).await, Duration::from_secs(20))
        .await
        .unwrap();
}
