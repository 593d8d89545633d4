//! A stdio server's life in a container.

use std::collections::BTreeMap;
use std::time::Duration;

use agentopia_dtma::health;
use agentopia_dtma::runtime::{ErrorCode, Progress, RunState, Runtime as _};
use agentopia_dtma_api::to_dtma::LogQuery;
use futures::StreamExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::machine::{Machine, secrets};
use crate::support::wait_for;

#[tokio::test]
async fn a_tool_is_started_used_stopped_started_again_and_removed_without_a_trace() {
    let machine = Machine::new().await;
    let mut spec = machine.echo().await;
    spec.env.insert("GREETING".into(), "Servus".into());
    spec.secret_names = vec!["API_KEY".into()];
    machine
        .start_with(&spec, &[("API_KEY", "canary-5f2e")])
        .await;

    let health = health::probe(&machine.tool(&spec).await, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(health.name.as_deref(), Some("agentopia-echo"));
    let mut session = machine.session(&spec).await;
    assert_eq!(session.call("echo", json!({"text": "hi"})).await, "hi");
    // The secret reached the tool, and only the tool.
    let seen = session.call("env", json!({"name": "API_KEY"})).await;
    assert!(
        seen.contains(&hex::encode(Sha256::digest("canary-5f2e"))),
        "{seen}"
    );
    let shown = serde_json::to_string(&machine.inspect(&spec).await).unwrap();
    assert!(!shown.contains("canary-5f2e") && !shown.contains("Servus"));
    let from_image = session.call("env", json!({"name": "FROM_IMAGE"})).await;
    assert!(
        from_image.contains(&hex::encode(Sha256::digest("yes"))),
        "{from_image}"
    );
    assert_eq!(session.close().await.code, Some(0));

    let observed = machine.runtime.observe().await.unwrap();
    assert_eq!(observed.len(), 1);
    assert_eq!(observed[0].state, RunState::Running);
    assert_eq!(observed[0].generation, 1);
    assert!((30_100..31_000).contains(&observed[0].port.unwrap()));

    machine
        .runtime
        .stop(spec.instance_id, Duration::from_secs(5))
        .await
        .unwrap();
    machine
        .runtime
        .stop(spec.instance_id, Duration::from_secs(5))
        .await
        .unwrap();
    assert!(machine.runtime.tool(spec.instance_id).await.is_none());
    let stopped = machine
        .runtime
        .inspect(spec.instance_id)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(stopped.state, RunState::Exited(info) if info.code == Some(0)));

    spec.generation = 2;
    machine
        .start_with(&spec, &[("API_KEY", "canary-5f2e")])
        .await;
    let again = machine
        .runtime
        .inspect(spec.instance_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((again.generation, again.port), (2, observed[0].port));
    machine.session(&spec).await.close().await;

    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    assert_eq!(machine.everything().await, Vec::<String>::new());
    assert_eq!(
        std::fs::read_dir(machine.directory.path().join("run"))
            .unwrap()
            .count(),
        0
    );
    assert!(machine.runtime.observe().await.unwrap().is_empty());
}

#[tokio::test]
async fn every_session_has_a_process_of_its_own_and_ends_with_its_input() {
    let machine = Machine::new().await;
    let spec = machine.echo().await;
    machine.start(&spec).await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(machine.session(&spec).await);
    }
    for (number, session) in sessions.iter_mut().enumerate() {
        assert_eq!(
            session
                .call("echo", json!({"text": number.to_string()}))
                .await,
            number.to_string()
        );
    }
    let processes = || async {
        let name = format!("agentopia-{}", spec.instance_id);
        let top = machine.docker.top_processes(&name, None).await.unwrap();
        top.processes.unwrap().len()
    };
    assert_eq!(processes().await, 6, "tool-init and five servers");
    for session in sessions {
        // Dropped without being closed: the pipes close, and the process is ended.
        drop(session);
    }
    wait_for("the servers to end", || async {
        (processes().await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_spec_replaces_the_container_and_the_same_one_leaves_it() {
    let machine = Machine::new().await;
    let mut spec = machine.echo().await;
    machine.start(&spec).await;
    let first = machine.inspect(&spec).await.id;
    let before = machine.tool(&spec).await.epoch;
    machine.start(&spec).await;
    assert_eq!(machine.inspect(&spec).await.id, first);
    spec.restart_nonce = 1;
    spec.generation = 2;
    machine.start(&spec).await;
    assert_ne!(machine.inspect(&spec).await.id, first);
    assert!(machine.tool(&spec).await.epoch > before);
    machine.session(&spec).await.close().await;
}

#[tokio::test]
async fn what_a_server_writes_to_stderr_is_its_log() {
    let machine = Machine::new().await;
    let mut spec = machine.echo().await;
    spec.program.args = vec!["--fault".into(), "exit-at-once".into()];
    machine.start(&spec).await;
    let error = health::probe(&machine.tool(&spec).await, Duration::from_secs(20))
        .await
        .unwrap_err();
    assert!(error.explanation.contains("exit status 3"), "{error}");
    let lines = wait_for("the line in the log", || async {
        let lines = machine.runtime.last_stderr(spec.instance_id, 10).await;
        (!lines.is_empty()).then_some(lines)
    })
    .await;
    assert!(
        lines.iter().any(|line| line.contains("exiting at once")),
        "{lines:?}"
    );
    let query = LogQuery {
        tail: 10,
        follow: false,
    };
    let log: Vec<_> = machine
        .runtime
        .logs(spec.instance_id, query)
        .await
        .unwrap()
        .collect()
        .await;
    assert!(
        log.iter()
            .any(|line| line.line.contains("exiting at once") && line.at.is_some()),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_follower_of_the_log_sees_lines_as_they_come_until_the_tool_is_removed() {
    let machine = Machine::new().await;
    let mut spec = machine.echo().await;
    spec.program.args = vec!["--fault".into(), "exit-at-once".into()];
    machine.start(&spec).await;
    let mut log = machine
        .runtime
        .logs(
            spec.instance_id,
            LogQuery {
                tail: 0,
                follow: true,
            },
        )
        .await
        .unwrap();
    let probing = health::probe(&machine.tool(&spec).await, Duration::from_secs(20)).await;
    assert!(probing.is_err());
    let line = tokio::time::timeout(Duration::from_secs(20), log.next())
        .await
        .unwrap()
        .unwrap();
    assert!(line.line.contains("exiting at once"), "{line:?}");
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    let rest = tokio::time::timeout(Duration::from_secs(20), log.collect::<Vec<_>>()).await;
    assert!(
        rest.is_ok(),
        "the stream goes on after the tool was removed"
    );
}

#[tokio::test]
async fn a_program_that_is_not_in_the_image_is_named_as_the_reason() {
    let machine = Machine::new().await;
    let binary = std::fs::read(crate::support::static_binaries().join("agentopia-echo")).unwrap();
    let files = [("agentopia-echo", binary, 0o755)];
    let image = machine
        .image(
            "FROM scratch\nCOPY agentopia-echo /agentopia-echo\nENTRYPOINT [\"/not-there\"]\n",
            &files,
        )
        .await;
    let spec = crate::support::spec(machine.environment, image);
    machine.start(&spec).await;
    let error = health::probe(&machine.tool(&spec).await, Duration::from_secs(20))
        .await
        .unwrap_err();
    assert!(
        error.explanation.contains("does not exist in the image"),
        "{error}"
    );
}

#[tokio::test]
async fn a_value_that_no_environment_can_hold_is_refused_in_words() {
    let machine = Machine::new().await;
    let spec = machine.echo().await;
    let prepared = machine
        .runtime
        .prepare(&spec, None, &Progress::none())
        .await
        .unwrap();
    let error = machine
        .runtime
        .start(&spec, &prepared, secrets(&[("KEY", "a\0b")]))
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::SpawnFailed);
    assert!(!format!("{error:?}").contains("a\\0b"));
    let big = "x".repeat(200_000);
    machine
        .runtime
        .start(
            &spec,
            &prepared,
            BTreeMap::from([("KEY".to_owned(), big.into())]),
        )
        .await
        .unwrap();
    let error = health::probe(&machine.tool(&spec).await, Duration::from_secs(20))
        .await
        .unwrap_err();
    assert!(error.explanation.contains("bytes"), "{error}");
}
