//! A machine that the provider has, and that nobody wrote down: a crash came in between.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_cloud::{
    Deletion, Machine, MachineProvider, MachineRequest, MachineState, ProviderError, Sought,
};
use agentopia_control_plane::machines::Connections;
use agentopia_control_plane::reconcilers::Bells;
use agentopia_control_plane::reconcilers::environment::EnvironmentReconciler;
use agentopia_control_plane::reconcilers::queue::Reconcile as _;
use agentopia_domain::environment::{DesiredEnvironment, LostMachine, ProviderKind};
use agentopia_domain::verification::Check;
use agentopia_store::{Claim, EventFilter, EventScope, LeaseKind};
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::installation::Installation;

/// Has one machine, and remembers for which known id it was asked.
#[derive(Debug, Default)]
struct OneMachine {
    address: Mutex<Option<IpAddr>>,
    asked: Mutex<Vec<Option<String>>>,
    /// For which known ids it was told to delete.
    deleted: Mutex<Vec<Option<String>>>,
}

#[async_trait]
impl MachineProvider for OneMachine {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Digitalocean
    }

    async fn find(&self, sought: Sought<'_>) -> Result<Option<Machine>, ProviderError> {
        self.asked.lock().push(sought.known.map(str::to_owned));
        Ok(Some(Machine {
            id: "4711".to_owned(),
            state: MachineState::Starting,
            address: *self.address.lock(),
            region: None,
            size: None,
            image: None,
            disk_bytes: None,
            monthly_price_cents: None,
            created_at: None,
        }))
    }

    async fn create(&self, _: &MachineRequest) -> Result<Machine, ProviderError> {
        Err(ProviderError::Final("there is one already".to_owned()))
    }

    fn can_rebootstrap(&self) -> bool {
        false
    }

    async fn rebootstrap(&self, _: &MachineRequest) -> Result<bool, ProviderError> {
        Ok(false)
    }

    async fn start(&self, _: Sought<'_>) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn verify(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn delete(&self, sought: Sought<'_>) -> Result<Deletion, ProviderError> {
        self.deleted.lock().push(sought.known.map(str::to_owned));
        Ok(Deletion::InProgress)
    }
}

fn reconciler(at: &Installation, provider: &Arc<OneMachine>) -> EnvironmentReconciler {
    EnvironmentReconciler {
        store: at.store.clone(),
        vault: Arc::clone(&at.vault),
        authority: Arc::clone(&at.authority),
        machines: Arc::new(Connections::new(
            at.store.clone(),
            Arc::clone(&at.vault),
            Arc::clone(&at.authority),
        )),
        provider: Arc::clone(provider) as _,
        control_plane_url: at.url.clone(),
        ambient: at.ambient.clone(),
        lost_machine: LostMachine::default(),
        bells: Bells::default(),
    }
}

async fn claim(at: &Installation) -> Claim {
    let leases = at.store.leases();
    let ttl = Duration::from_secs(60);
    let claims = leases
        .claim_due(LeaseKind::Environment, "test", ttl, 10)
        .await
        .unwrap();
    let [claim] = claims[..] else {
        panic!("{claims:?}");
    };
    claim
}

#[tokio::test]
async fn a_machine_that_was_found_is_written_down_once_and_its_address_later() {
    let at = Installation::start().await;
    let (account, environment) = at.environment("a@b.c").await;
    let provider = Arc::new(OneMachine::default());
    let reconciler = reconciler(&at, &provider);
    let claim = claim(&at).await;
    let environments = at.store.environments();

    reconciler.reconcile(claim).await.unwrap();
    let found = environments.get_unscoped(environment).await.unwrap();
    assert_eq!(
        (found.machine_id.as_deref(), found.ip_address),
        (Some("4711"), None)
    );

    *provider.address.lock() = Some("203.0.113.9".parse().unwrap());
    reconciler.reconcile(claim).await.unwrap();
    let found = environments.get_unscoped(environment).await.unwrap();
    assert_eq!(found.ip_address, Some("203.0.113.9".parse().unwrap()));

    let asked = provider.asked.lock().clone();
    assert_eq!(
        (asked.first(), asked.last()),
        (Some(&None), Some(&Some("4711".to_owned())))
    );
    let (scope, filter) = (EventScope::Account(account), EventFilter::default());
    let events = at
        .store
        .events()
        .after(scope, &filter, 0, 100)
        .await
        .unwrap();
    let adopted = |kind: &str| kind == "environment.machine_adopted";
    assert_eq!(
        events.iter().filter(|event| adopted(&event.kind)).count(),
        1
    );
}

#[tokio::test]
async fn a_machine_that_can_be_told_no_token_is_deleted_until_it_is_gone() {
    let at = Installation::start().await;
    let (account, environment) = at.environment("a@b.c").await;
    let environments = at.store.environments();
    let enabled = DesiredEnvironment::Enabled;
    environments
        .set_desired(account, enabled, &[])
        .await
        .unwrap();
    let provider = Arc::new(OneMachine::default());
    let reconciler = reconciler(&at, &provider);
    let claim = claim(&at).await;
    // As long as it lingers it is deleted again, and no token is made that it could not be told.
    for _ in 0..3 {
        reconciler.reconcile(claim).await.unwrap();
    }
    let known = Some("4711".to_owned());
    assert_eq!(
        *provider.deleted.lock(),
        [known.clone(), known.clone(), known]
    );
    let credential = at
        .store
        .dtma_credentials()
        .by_environment_unscoped(environment)
        .await;
    assert!(credential.unwrap().is_none());
    let (scope, filter) = (EventScope::Account(account), EventFilter::default());
    let events = at
        .store
        .events()
        .after(scope, &filter, 0, 100)
        .await
        .unwrap();
    let issued = |kind: &str| kind == "environment.enrolment_issued";
    assert!(!events.iter().any(|event| issued(&event.kind)));
}
