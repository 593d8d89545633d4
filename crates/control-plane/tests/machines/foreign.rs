//! What a machine may not do with what it has: certificate and token belong together, and the
//! secrets of another machine's tools are as unknown as tools that do not exist.

use std::collections::BTreeMap;

use agentopia_domain::catalog::CatalogDefinition;
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::instance::Instance;
use agentopia_domain::name::Name;
use agentopia_domain::{InstanceId, SecretId};
use agentopia_dtma_api::to_control_plane::{ControlPlaneError, SecretsRequest};
use agentopia_store::{EventFilter, EventScope, NewInstance, NewSecret};
use agentopia_vault::Context;
use secrecy::{ExposeSecret as _, SecretString};

use crate::installation::{Installation, Machine, beat, refused};

pub(crate) const CANARY: &str = "canary-7d1f";

/// A tool on the machine that reads one secret.
pub(crate) async fn deploy(at: &Installation, machine: &Machine) -> Instance {
    let definition: CatalogDefinition =
        toml::from_str(include_str!("../../src/catalog_seed/echo.toml")).unwrap();
    let entry = at
        .store
        .catalog()
        .upsert(at.ambient.new_id(), &definition, &[])
        .await
        .unwrap();
    let secret: SecretId = at.ambient.new_id();
    let context = Context::Secret {
        account_id: machine.account,
        secret_id: secret,
        revision: 1,
    };
    let sealed = at
        .vault
        .seal_text(&context, &SecretString::from(CANARY))
        .await
        .unwrap();
    let new = NewSecret {
        id: secret,
        account_id: machine.account,
        name: Name::parse("key").unwrap(),
        ciphertext: sealed,
    };
    at.store.secrets().create(new, &[]).await.unwrap();
    let new = NewInstance {
        id: at.ambient.new_id(),
        account_id: machine.account,
        environment_id: machine.environment,
        catalog_entry_id: entry.value.id,
        name: Name::parse("echo").unwrap(),
        version: "0.1.0".to_owned(),
        config: serde_json::Map::new(),
        secrets: BTreeMap::from([("ECHO_SECRET".to_owned(), secret)]),
        resources: definition.resources,
        running: true,
        direct_access: None,
        egress: Default::default(),
        remote: None,
        idle: IdleSetting::Inherit,
    };
    at.store
        .instances()
        .create(new, |_, _, _| Ok(()), &[])
        .await
        .unwrap()
}

const REQUEST: SecretsRequest = SecretsRequest {
    generation: 1,
    registry: None,
};

#[tokio::test]
async fn secrets_go_to_the_machine_that_runs_the_tool_and_to_no_other() {
    let at = Installation::start().await;
    let (own, other) = (at.machine("a@b.c").await, at.machine("d@e.f").await);
    let tool = deploy(&at, &own).await;

    let reply = at.client(&own).secrets(tool.id, &REQUEST).await.unwrap();
    assert_eq!(reply.env["ECHO_SECRET"].expose_secret(), CANARY);

    let foreign = at
        .client(&other)
        .secrets(tool.id, &REQUEST)
        .await
        .unwrap_err();
    let unknown: InstanceId = at.ambient.new_id();
    let unknown = at
        .client(&other)
        .secrets(unknown, &REQUEST)
        .await
        .unwrap_err();
    let (ControlPlaneError::Refused(foreign), ControlPlaneError::Refused(unknown)) =
        (foreign, unknown)
    else {
        panic!("both are refused");
    };
    assert_eq!(
        foreign, unknown,
        "another machine's tool can't be told from one that is not there"
    );
}

#[tokio::test]
async fn every_fetch_stands_in_the_timeline_without_the_value() {
    let at = Installation::start().await;
    let own = at.machine("a@b.c").await;
    let tool = deploy(&at, &own).await;
    at.client(&own).secrets(tool.id, &REQUEST).await.unwrap();
    let scope = EventScope::Account(own.account);
    let events = at
        .store
        .events()
        .after(scope, &EventFilter::default(), 0, 100)
        .await
        .unwrap();
    let fetched = events
        .iter()
        .find(|event| event.kind == "secret.fetched")
        .unwrap();
    assert!(fetched.data.to_string().contains("ECHO_SECRET"));
    assert!(!format!("{events:?}").contains(CANARY));
}

#[tokio::test]
async fn certificate_and_token_are_of_the_same_machine() {
    let at = Installation::start().await;
    let (own, other) = (at.machine("a@b.c").await, at.machine("d@e.f").await);
    let mixed = at.client_with(&own, &other.credentials.bearer);
    assert_eq!(refused(mixed.heartbeat(&beat()).await), "unauthenticated");
    let wrong = at.client_with(&own, &SecretString::from("dtma_wrong"));
    assert_eq!(refused(wrong.heartbeat(&beat()).await), "unauthenticated");
    assert_eq!(
        refused(at.stranger().heartbeat(&beat()).await),
        "unauthenticated"
    );
}
