//! Gone is what DigitalOcean itself no longer has.

use agentopia_cloud::{Deletion, MachineProvider as _, ProviderError};
use agentopia_digitalocean::firewalls::{FirewallSpec, Rules};
use agentopia_digitalocean::{DropletId, FirewallName};
use digitalocean_sim::faults::{Answer, RequestRule, ResourceFault, When};

use crate::rig::{Rig, seconds};

#[tokio::test(start_paused = true)]
async fn a_droplet_that_lingers_is_not_gone() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    seconds(30).await;
    let sought = rig.sought(Some(&made.id));
    for _ in 0..3 {
        let deletion = rig.provider.delete(sought).await.unwrap();
        assert_eq!(deletion, Deletion::InProgress);
        assert_eq!(rig.droplets().await.len(), 1);
        seconds(2).await;
    }
    seconds(4).await;
    assert_eq!(rig.provider.delete(sought).await.unwrap(), Deletion::Gone);
    assert!(rig.droplets().await.is_empty());
    // And again: nothing is there, nothing fails.
    assert_eq!(rig.provider.delete(sought).await.unwrap(), Deletion::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_survivor_is_deleted_again() {
    let rig = Rig::new();
    rig.resource_fault(ResourceFault::Survivor, 0);
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    seconds(30).await;
    rig.delete(Some(&made.id)).await;
    assert!(rig.droplets().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_busy_droplet_goes_later() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    // It is still being made: DigitalOcean may refuse this, and it goes all the same.
    assert!(rig.delete(Some(&made.id)).await > 1);
    assert!(rig.droplets().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_droplet_that_no_list_has_yet_is_not_forgotten() {
    let rig = Rig::new();
    rig.resource_fault(ResourceFault::ListLag, 30);
    rig.provider.create(&rig.request(1)).await.unwrap();
    // A crash came before its id was written down, and the account no longer wants it.
    let again = rig.restarted();
    let mut asked = 0;
    while again.delete(rig.sought(None)).await.unwrap() == Deletion::InProgress {
        asked += 1;
        assert!(asked < 100);
        seconds(2).await;
    }
    assert!(rig.droplets().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_machines_own_firewall_goes_and_the_common_one_stays() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    let spec = |name: String| FirewallSpec {
        name: FirewallName::parse(name).unwrap(),
        rules: Rules {
            outbound: [agentopia_digitalocean::firewalls::OutboundRule {
                protocol: agentopia_digitalocean::firewalls::Protocol::Tcp,
                ports: agentopia_digitalocean::firewalls::Ports::All,
                destinations: agentopia_digitalocean::firewalls::Targets::anywhere(),
            }]
            .into(),
            ..Rules::default()
        },
        droplet_ids: [DropletId(made.id.parse().unwrap())].into(),
        tags: std::collections::BTreeSet::new(),
    };
    seconds(30).await;
    let own = spec(format!("agentopia-test-env-{}", rig.environment));
    rig.api.firewalls().create(&own).await.unwrap();
    let other = spec(format!("agentopia-test-env-{}-x", rig.environment));
    rig.api.firewalls().create(&other).await.unwrap();
    rig.delete(Some(&made.id)).await;
    let left = rig.api.firewalls().list().all().await.unwrap();
    let mut left: Vec<&str> = left.iter().map(|each| each.name.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["agentopia-test", other.name.as_str()]);
}

#[tokio::test(start_paused = true)]
async fn gone_is_never_said_on_a_gateways_word() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    seconds(30).await;
    rig.request_fault(RequestRule::new(Answer::GatewayTimeout).when(When::always()));
    let error = rig
        .provider
        .delete(rig.sought(Some(&made.id)))
        .await
        .unwrap_err();
    assert!(matches!(error, ProviderError::Retryable(_)), "{error}");
}
