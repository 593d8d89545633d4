//! A DTMA that comes back finds its tools running.

use std::collections::BTreeMap;
use std::time::Duration;

use agentopia_dtma::health;
use agentopia_dtma::runtime::{RunState, Runtime as _, spec_hash};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::http_server::http_echo;
use crate::machine::{Machine, secrets};

#[tokio::test]
async fn an_http_server_goes_on_and_is_taken_over() {
    let mut machine = Machine::new().await;
    let spec = http_echo(&machine).await;
    machine.start(&spec).await;
    health::probe(&machine.tool(&spec).await, Duration::from_secs(20))
        .await
        .unwrap();
    let before = machine.inspect(&spec).await.state.unwrap();
    machine.restart().await;
    let observed = machine.runtime.observe().await.unwrap();
    assert_eq!(observed[0].spec_hash, spec_hash(&spec));
    assert_eq!(observed[0].state, RunState::Running);
    assert!(
        machine.runtime.tool(spec.instance_id).await.is_none(),
        "not before it was adopted"
    );
    assert!(machine.runtime.adopt(&spec, BTreeMap::new()).await.unwrap());
    health::probe(&machine.tool(&spec).await, Duration::from_secs(20))
        .await
        .unwrap();
    let after = machine.inspect(&spec).await.state.unwrap();
    assert_eq!(
        (before.pid, before.started_at),
        (after.pid, after.started_at),
        "the same container, not restarted"
    );
}

#[tokio::test]
async fn a_stdio_server_is_taken_over_once_its_secrets_are_there() {
    let mut machine = Machine::new().await;
    let mut spec = machine.echo().await;
    spec.secret_names = vec!["API_KEY".into()];
    machine.start_with(&spec, &[("API_KEY", "one")]).await;
    let old = machine.session(&spec).await;
    let before = machine.inspect(&spec).await.state.unwrap().pid;
    drop(old);
    machine.restart().await;
    assert!(!machine.runtime.adopt(&spec, BTreeMap::new()).await.unwrap());
    assert!(
        machine
            .runtime
            .adopt(&spec, secrets(&[("API_KEY", "two")]))
            .await
            .unwrap()
    );
    let mut session = machine.session(&spec).await;
    let seen = session.call("env", json!({"name": "API_KEY"})).await;
    assert!(seen.contains(&hex::encode(Sha256::digest("two"))));
    assert_eq!(machine.inspect(&spec).await.state.unwrap().pid, before);
    assert!(machine.runtime.adopt(&spec, BTreeMap::new()).await.is_ok());
}

#[tokio::test]
async fn what_runs_with_another_spec_is_not_taken_over() {
    let mut machine = Machine::new().await;
    let mut spec = machine.echo().await;
    machine.start(&spec).await;
    machine.restart().await;
    spec.env.insert("GREETING".into(), "changed".into());
    assert!(!machine.runtime.adopt(&spec, BTreeMap::new()).await.unwrap());
}
