//! Deploying tools and waiting for them; logs, calls, Ctrl-C. The machine's part is played by
//! writing to the store what a reconciler would.

use std::process::Stdio;
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::instance::{InstanceEvent, InstanceStatus};
use agentopia_store::InstancePatch;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::Child;

use crate::server::{Ran, Server};

const DEPLOY: &str = "tools deploy clock --secret API_KEY=key";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Deploys and does not wait; gives the id.
async fn detached(server: &Server) -> InstanceId {
    let instance = server.json(&format!("{DEPLOY} --detach")).await;
    assert_eq!(instance["status"], "pending_start");
    instance["id"].as_str().unwrap().parse().unwrap()
}

/// The reconciler's part: one event after another.
async fn happens(server: &Server, id: InstanceId, events: &[(InstanceEvent, InstancePatch)]) {
    for (event, patch) in events {
        let now = server.store.instances().get_unscoped(id).await.unwrap();
        let from = now.instance.status;
        let instances = server.store.instances();
        instances
            .transition_unscoped(id, None, from, *event, patch.clone(), &[])
            .await
            .unwrap();
    }
}

fn bare(event: InstanceEvent) -> (InstanceEvent, InstancePatch) {
    (event, InstancePatch::default())
}

/// Starts it and waits for a line on standard error that has `text`.
async fn started_until(server: &Server, arguments: &str, text: &str) -> (Child, impl AsyncRead) {
    let mut child = server
        .command(arguments)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    seen(&mut lines, text).await;
    (child, lines.into_inner())
}

async fn seen(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, text: &str) {
    let found = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(text) {
                return;
            }
        }
        panic!("it ended without saying {text:?}");
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap();
}

/// Its end, with what it still said on standard error.
async fn end(child: Child, err: impl AsyncRead) -> Ran {
    use tokio::io::AsyncReadExt as _;
    let mut err = std::pin::pin!(err);
    let mut rest = String::new();
    let ended = async { tokio::join!(err.read_to_string(&mut rest), child.wait_with_output()) };
    let (read, output) = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    read.unwrap();
    Ran {
        err: rest,
        ..Ran::from(output.unwrap())
    }
}

async fn the_only_instance(server: &Server) -> InstanceId {
    let list = server.json("tools list").await;
    list[0]["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn detached_deploys_return_what_was_asked_for() {
    let server = Server::with_catalog().await;
    let settings = "--name berlin --set zone=5 --set level=5";
    let made = server.json(&format!("{DEPLOY} {settings} --detach")).await;
    assert_eq!(made["name"], "berlin");
    assert_eq!(
        made["config"],
        json!({"zone": "5", "level": 5}),
        "typed by the schema"
    );
    assert_eq!(server.json("tools show Berlin").await["id"], made["id"]);
    let listed = server.run("tools list").await.ok().out;
    assert!(
        listed.contains("berlin") && listed.contains("clock"),
        "{listed}"
    );
    let status = server.json("env status").await;
    assert_eq!(
        status["environment"]["desired"], "enabled",
        "turned on by itself"
    );
}

#[tokio::test]
async fn a_deploy_shows_its_steps_and_ends_when_it_runs() {
    let server = Server::with_catalog().await;
    let (child, err) = started_until(&server, DEPLOY, "asking for a machine").await;
    let id = the_only_instance(&server).await;
    let pulling = InstancePatch {
        progress: Some(Some("pulling image".into())),
        ..InstancePatch::default()
    };
    happens(&server, id, &[(InstanceEvent::StartBegun, pulling)]).await;
    let mut lines = BufReader::new(err).lines();
    seen(&mut lines, "pulling image").await;
    happens(&server, id, &[bare(InstanceEvent::Healthy)]).await;
    let ran = end(child, lines.into_inner()).await.ok();
    assert!(
        ran.out.starts_with("clock is running at http://"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_deploy_that_fails_shows_why_and_what_it_last_said() {
    let server = Server::with_catalog().await;
    let failed = InstancePatch {
        error_message: Some(Some("the server ended with status 3".into())),
        ..InstancePatch::default()
    };
    let (child, err) = started_until(&server, DEPLOY, "asking for a machine").await;
    let id = the_only_instance(&server).await;
    happens(&server, id, &[(InstanceEvent::Failed, failed)]).await;
    let ran = end(child, err).await.failed(1);
    for part in [
        "error: clock: the server ended with status 3",
        "| no such file: /data",
        "agentopia tools logs clock",
    ] {
        assert!(ran.err.contains(part), "{part} is missing: {}", ran.err);
    }
    assert!(
        !ran.err.contains("ready"),
        "standard output is no complaint: {}",
        ran.err
    );
}

#[tokio::test]
async fn waiting_ends_when_it_was_said_to() {
    let server = Server::with_catalog().await;
    let ran = server
        .run(&format!("{DEPLOY} --wait-timeout 300ms -o json"))
        .await
        .failed(124);
    assert_eq!(ran.error()["code"], "timed_out");
    assert!(
        ran.error()["message"]
            .as_str()
            .unwrap()
            .contains("agentopia tools show clock")
    );
    assert_eq!(
        server.json("tools list").await.as_array().unwrap().len(),
        1,
        "it goes on"
    );
}

#[tokio::test]
async fn an_interrupted_wait_is_130() {
    let server = Server::with_catalog().await;
    let (child, err) = started_until(&server, DEPLOY, "asking for a machine").await;
    interrupt(&child).await;
    let ran = end(child, err).await.failed(130);
    assert!(ran.err.contains("interrupted"), "{ran:?}");
}

#[tokio::test]
async fn a_followed_log_goes_on_until_it_is_interrupted() {
    let server = Server::with_catalog().await;
    detached(&server).await;
    for (arguments, first) in [
        ("tools logs clock -f", "ready"),
        (
            "tools logs clock -f -o json",
            r#"{"stream":"stdout","line":"ready"}"#,
        ),
    ] {
        let mut child = server
            .command(arguments)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .unwrap();
        assert_eq!(line.unwrap().as_deref(), Some(first));
        seen(&mut lines, "no such file").await;
        interrupt(&child).await;
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap();
        assert_eq!(status.unwrap().code(), Some(130));
    }
    let whole = server.json("tools logs clock").await;
    assert_eq!(
        whole[1],
        json!({"stream": "stderr", "line": "no such file: /data"})
    );
    assert_eq!(
        server.run("tools logs clock").await.ok().out,
        "ready\nno such file: /data\n"
    );
}

#[tokio::test]
async fn a_tool_is_called_with_arguments_of_the_right_types() {
    let server = Server::with_catalog().await;
    detached(&server).await;
    let said = server
        .run("tools call clock say --arg text=1 --arg times=2")
        .await
        .ok()
        .out;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said, json!({"text": "1", "times": 2}));
    let whole = server
        .run_with("tools call clock say --args - -o json", r#"{"text":"hi"}"#)
        .await
        .ok()
        .json();
    assert_eq!(whole["result"]["content"][0]["text"], r#"{"text":"hi"}"#);
    let failed = server.run("tools call clock fail").await;
    assert_eq!(
        (failed.code, failed.out.as_str()),
        (Some(1), "no\n"),
        "{failed:?}"
    );
    let unknown = server
        .run("tools call clock nothing -o json")
        .await
        .failed(1);
    assert_eq!(unknown.error()["code"], "upstream_error");
    let offered = server.run("tools show clock --functions").await.ok().out;
    assert!(
        offered.contains("say  Says it.") && offered.contains("times"),
        "{offered}"
    );
}

#[tokio::test]
async fn a_tool_is_stopped_started_changed_and_removed() {
    let server = Server::with_catalog().await;
    let id = detached(&server).await;
    happens(
        &server,
        id,
        &[
            bare(InstanceEvent::StartBegun),
            bare(InstanceEvent::Healthy),
        ],
    )
    .await;
    server.run("tools start clock").await.ok();

    let (child, err) = started_until(&server, "tools stop clock", "stopping").await;
    happens(&server, id, &[bare(InstanceEvent::StopFinished)]).await;
    assert_eq!(end(child, err).await.ok().out, "clock is stopped\n");

    server.run("tools update clock").await.failed(2);
    let changed = server
        .json("tools update clock --name uhr --set zone=UTC")
        .await;
    assert_eq!(
        (&changed["name"], &changed["config"]),
        (&json!("uhr"), &json!({"zone": "UTC"}))
    );
    let kept = changed["secrets"].as_object().unwrap();
    assert_eq!(kept.len(), 1, "what was not mentioned stays: {changed}");

    let (child, err) = started_until(&server, "tools rm uhr --yes", "removing").await;
    assert_eq!(
        server
            .store
            .instances()
            .get_unscoped(id)
            .await
            .unwrap()
            .instance
            .status,
        InstanceStatus::PendingRemoval
    );
    happens(&server, id, &[bare(InstanceEvent::RemoveFinished)]).await;
    assert_eq!(end(child, err).await.ok().out, "uhr is removed\n");
    assert_eq!(server.json("tools list").await, json!([]));
}

#[tokio::test]
async fn events_are_listed_and_followed() {
    let server = Server::with_catalog().await;
    let mut child = server
        .command("events list -f --limit 1 -o json")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || -> Value {
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .unwrap();
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    };
    assert_eq!(next().await["kind"], "secret.created");
    server.run("agents create helper").await.ok();
    assert_eq!(next().await["kind"], "agent.created");
    interrupt(&child).await;
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap();
    assert_eq!(status.unwrap().code(), Some(130));
    let text = server.run("events list").await.ok().out;
    assert!(
        text.lines().last().unwrap().contains("agent.created"),
        "{text}"
    );
}

/// What Ctrl-C does.
async fn interrupt(child: &Child) {
    let id = child.id().unwrap().to_string();
    let sent = tokio::process::Command::new("kill")
        .args(["-INT", &id])
        .status()
        .await;
    assert!(sent.unwrap().success());
}
