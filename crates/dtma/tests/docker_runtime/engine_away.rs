//! The engine goes away and comes back. The engine itself belongs to everybody on this machine, so
//! what is cut is the DTMA's way to it: a relay in front of its socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentopia_dtma::runtime::docker::DEFAULT_SOCKET;
use agentopia_dtma::runtime::{ErrorCode, Retry, Runtime as _};
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::machine::Machine;
use crate::support::wait_for;

struct Relay {
    socket: PathBuf,
    task: JoinHandle<()>,
}

impl Relay {
    fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut engine = UnixStream::connect(DEFAULT_SOCKET).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
                });
            }
        });
        Self {
            socket: socket.to_owned(),
            task,
        }
    }

    /// Cuts every connection; nobody listens any more.
    async fn cut(self) {
        self.task.abort();
        let _ = self.task.await;
        std::fs::remove_file(&self.socket).unwrap();
    }
}

#[tokio::test]
async fn tools_serve_on_calls_fail_in_words_and_what_was_missed_is_told_afterwards() {
    let mut machine = Machine::new().await;
    let socket = machine.directory.path().join("engine.sock");
    let relay = Relay::start(&socket);
    machine.reconnect(&socket).await;
    let spec = machine.echo().await;
    machine.start(&spec).await;
    let mut session = machine.session(&spec).await;
    let mut exits = machine.runtime.exits();
    assert_eq!(machine.runtime.interruptions(), 0);

    relay.cut().await;
    let error = machine.runtime.observe().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::EngineUnreachable, "{error}");
    assert_eq!(error.code.retry(), Retry::Soon);
    assert_eq!(
        session.call("echo", json!({"text": "still here"})).await,
        "still here"
    );
    machine.session(&spec).await.close().await;
    // Something ends while nobody is told.
    machine
        .docker
        .kill_container(&format!("agentopia-{}", spec.instance_id), None)
        .await
        .unwrap();
    wait_for("the tool to be gone", || async {
        machine
            .runtime
            .tool(spec.instance_id)
            .await
            .is_none()
            .then_some(())
    })
    .await;
    assert!(exits.try_recv().is_err());

    let relay = Relay::start(&socket);
    let told = tokio::time::timeout(Duration::from_secs(20), exits.recv()).await;
    assert_eq!(told.unwrap().unwrap(), spec.instance_id);
    assert_eq!(machine.runtime.interruptions(), 1);
    machine.start(&spec).await;
    machine.session(&spec).await.close().await;
    relay.cut().await;
}
