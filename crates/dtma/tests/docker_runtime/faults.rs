//! Tools and registries that misbehave.

use std::time::Duration;

use agentopia_domain::spec::ImageRef;
use agentopia_dtma::runtime::{ErrorCode, Progress, Retry, Runtime as _, ToolChannel};

use crate::machine::{Machine, Talk};
use crate::support;

#[tokio::test]
async fn a_server_that_eats_its_memory_is_said_to_have_done_so() {
    let machine = Machine::new().await;
    let mut spec = machine.echo().await;
    spec.program.args = vec!["--fault".into(), "eat-memory".into()];
    machine.start(&spec).await;
    let ToolChannel::Stdio { spawner, .. } = machine.tool(&spec).await.channel else {
        panic!("not stdio")
    };
    let talk = Talk::new(spawner.open().await.unwrap());
    let mut exit = talk.process.exit();
    let info = tokio::time::timeout(Duration::from_secs(60), exit.wait_for(Option::is_some))
        .await
        .unwrap()
        .unwrap()
        .clone()
        .unwrap();
    assert!(info.out_of_memory, "{info:?}");
    drop(talk);
    // The container lives on; the next session can be opened.
    assert!(machine.runtime.tool(spec.instance_id).await.is_some());
}

#[tokio::test]
async fn a_server_that_ignores_sigterm_is_killed() {
    let machine = Machine::new().await;
    let mut spec = machine.echo().await;
    spec.program.args = vec!["--fault".into(), "ignore-sigterm".into()];
    machine.start(&spec).await;
    let session = machine.session(&spec).await;
    let info = session.close().await;
    assert_eq!(info.signal, Some(9), "{info:?}");
    let session = machine.session(&spec).await;
    machine
        .runtime
        .stop(spec.instance_id, Duration::from_secs(1))
        .await
        .unwrap();
    drop(session);
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_paused_container_can_be_stopped_and_removed() {
    let machine = Machine::new().await;
    let spec = machine.echo().await;
    machine.start(&spec).await;
    let name = format!("agentopia-{}", spec.instance_id);
    machine.docker.pause_container(&name).await.unwrap();
    machine
        .runtime
        .stop(spec.instance_id, Duration::from_secs(2))
        .await
        .unwrap();
    machine.start(&spec).await;
    machine.docker.pause_container(&name).await.unwrap();
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    assert!(machine.everything().await.is_empty());
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_worth_another_try() {
    let machine = Machine::new().await;
    // Port 1 of the loopback: nobody is there.
    let image = ImageRef {
        repository: "127.0.0.1:1/agentopia/echo".into(),
        tag: Some("1".into()),
        digest: None,
    };
    let spec = support::spec(machine.environment, image);
    assert!(machine.runtime.needs_fetch(&spec).await.unwrap());
    let error = machine
        .runtime
        .prepare(&spec, None, &Progress::none())
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::RegistryUnreachable);
    assert_eq!(error.code.retry(), Retry::Soon);
    assert!(
        machine.everything().await.is_empty(),
        "nothing is made before the image is there"
    );
}

#[tokio::test]
async fn ports_that_are_taken_are_passed_over() {
    let machine = Machine::new().await;
    let spec = machine.echo().await;
    machine
        .runtime
        .prepare(&spec, None, &Progress::none())
        .await
        .unwrap();
    machine.start(&spec).await;
    let port = machine
        .runtime
        .inspect(spec.instance_id)
        .await
        .unwrap()
        .unwrap()
        .port
        .unwrap();
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    let _listener = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
    machine.start(&spec).await;
    let other = machine
        .runtime
        .inspect(spec.instance_id)
        .await
        .unwrap()
        .unwrap()
        .port
        .unwrap();
    assert_ne!(other, port);
}
