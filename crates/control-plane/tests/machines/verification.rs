//! The control plane's look at itself: each part that is broken is named, and hides no other one.

use std::sync::Arc;

use agentopia_control_plane::config::Config;
use agentopia_control_plane::machines::Connections;
use agentopia_control_plane::state::Inspect as _;
use agentopia_control_plane::verification::Verifier;
use agentopia_domain::EnvironmentId;
use agentopia_domain::environment::{EnvironmentEvent, EnvironmentStatus};
use agentopia_domain::orphan::{Orphan, OrphanReason, ProviderThing};
use agentopia_domain::verification::{Check, Outcome};
use agentopia_store::EnvironmentPatch;
use agentopia_vault::{BuiltIn, Keyring};

use crate::droplets::Droplets;

fn verifier(droplets: &Droplets) -> Verifier {
    let at = &droplets.at;
    Verifier {
        store: at.store.clone(),
        vault: Arc::clone(&at.vault),
        ambient: at.ambient.clone(),
        config: Arc::new(Config {
            public_url: Some("https://tools.example.com".parse().unwrap()),
            dtma_advertise_url: Some(at.url.clone()),
            ..Config::default()
        }),
        authority: Arc::clone(&at.authority),
        connections: Arc::new(Connections::new(
            at.store.clone(),
            Arc::clone(&at.vault),
            Arc::clone(&at.authority),
        )),
        provider: Arc::clone(&droplets.reconciler.provider),
        offer: None,
    }
}

async fn wrong(verifier: &Verifier) -> Vec<Check> {
    let mut checks = verifier.verify().await;
    checks.retain(|check| matches!(check.outcome, Outcome::Warning | Outcome::Failed));
    checks
}

fn names(checks: &[Check]) -> Vec<&str> {
    checks.iter().map(|check| check.name.as_str()).collect()
}

#[tokio::test]
async fn a_key_that_does_not_open_the_vault_is_named() {
    let droplets = Droplets::new().await;
    let good = verifier(&droplets);
    assert_eq!(wrong(&good).await, []);
    let ambient = &droplets.at.ambient;
    let other = BuiltIn::new(Keyring::generate(ambient), ambient.clone());
    let verifier = Verifier {
        vault: Arc::new(other),
        ..good
    };
    let found = wrong(&verifier).await;
    assert_eq!(names(&found), ["control_plane.vault"]);
    let detail = &found[0].detail;
    assert!(
        detail.contains("machine-ca") && detail.contains("key file"),
        "{detail}"
    );
}

#[tokio::test]
async fn addresses_that_can_hardly_be_meant_are_warned_of() {
    let droplets = Droplets::new().await;
    let good = verifier(&droplets);
    let told = async |public_url: Option<&str>, bind: &str| {
        let verifier = Verifier {
            config: Arc::new(Config {
                public_url: public_url.map(|url| url.parse().unwrap()),
                bind: bind.parse().unwrap(),
                ..(*good.config).clone()
            }),
            ..verifier(&droplets)
        };
        wrong(&verifier).await
    };
    let local = "127.0.0.1:8080";
    assert_eq!(told(None, local).await, []);
    assert_eq!(told(Some("http://localhost:8080"), local).await, []);
    let clear = told(Some("http://tools.example.com"), local).await;
    assert_eq!(names(&clear), ["control_plane.configuration"]);
    assert!(clear[0].detail.contains("in the clear"), "{clear:?}");
    let unsaid = told(None, "0.0.0.0:8080").await;
    assert_eq!(names(&unsaid), ["control_plane.configuration"]);
    assert!(
        unsaid[0].detail.contains("`public_url` is not set"),
        "{unsaid:?}"
    );
}

#[tokio::test]
async fn a_machine_that_is_not_reached_or_heard_is_named_with_its_environment() {
    let mut droplets = Droplets::active().await;
    let verifier = verifier(&droplets);
    // Agents are played here: they report, and nobody can ask them.
    let found = wrong(&verifier).await;
    assert_eq!(names(&found), ["machine.connection"]);
    let subject = droplets.environment.to_string();
    assert_eq!(found[0].subject.as_deref(), Some(subject.as_str()));
    assert!(
        found[0].detail.contains("agentopia env disable"),
        "{found:?}"
    );
    droplets.is_mute = true;
    droplets.pass(60).await;
    let found = wrong(&verifier).await;
    assert_eq!(names(&found), ["machine.connection", "machine.heartbeat"]);
    assert!(found[1].detail.contains("last heard 6"), "{found:?}");
}

#[tokio::test]
async fn a_machine_that_could_not_be_made_is_named_with_the_reason() {
    let mut droplets = Droplets::new().await;
    droplets
        .until(|now| now.status == EnvironmentStatus::Creating)
        .await;
    let verifier = verifier(&droplets);
    assert_eq!(wrong(&verifier).await, [], "it is just being made");
    let environments = droplets.at.store.environments();
    let patch = EnvironmentPatch {
        error_message: Some(Some("the size is gone".to_owned())),
        ..EnvironmentPatch::default()
    };
    let (id, event) = (droplets.environment, EnvironmentEvent::CreateFailed);
    environments
        .transition_unscoped(id, None, EnvironmentStatus::Creating, event, patch, &[])
        .await
        .unwrap();
    let found = wrong(&verifier).await;
    assert_eq!(names(&found), ["machine"]);
    assert!(found[0].detail.contains("the size is gone"), "{found:?}");
}

#[tokio::test]
async fn what_belongs_to_nobody_is_told() {
    let droplets = Droplets::new().await;
    let at = &droplets.at;
    let orphan = Orphan {
        id: at.ambient.new_id(),
        kind: ProviderThing::Machine,
        provider_id: "4711".to_owned(),
        name: "agentopia-left".to_owned(),
        environment_id: Some(at.ambient.new_id::<EnvironmentId>()),
        reason: OrphanReason::UnknownEnvironment,
        monthly_price_cents: Some(1200),
        provider_created_at: None,
        first_seen_at: at.ambient.now(),
        last_seen_at: at.ambient.now(),
        removal_requested_at: None,
    };
    at.store.orphans().replace(&[orphan], &[]).await.unwrap();
    let found = wrong(&verifier(&droplets)).await;
    assert_eq!(names(&found), ["provider.orphans"]);
    assert!(found[0].detail.contains("agentopia-left"), "{found:?}");
}
