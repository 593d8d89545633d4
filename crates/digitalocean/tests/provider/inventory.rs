//! Everything with this installation's mark is found, nothing of others, and only what proves to be
//! ours is taken away.

use agentopia_cloud::{Deletion, Found, MachineProvider as _, Proof, ProviderError, ProviderThing};
use agentopia_digitalocean::droplets::{ImageRef, NewDroplet};
use agentopia_digitalocean::firewalls::{
    FirewallSpec, OutboundRule, Ports, Protocol, Rules, Targets,
};
use agentopia_digitalocean::{DropletName, FirewallName, TagName};

use crate::rig::{Rig, seconds};

async fn stranger(rig: &Rig, name: &str, tags: &[&str]) {
    let image = ImageRef::Slug("ubuntu-24-04-x64".into());
    let mut new = NewDroplet::new(DropletName::parse(name).unwrap(), "s-1vcpu-1gb", image);
    new.region = Some("fra1".to_owned());
    new.tags = tags
        .iter()
        .map(|&tag| TagName::parse(tag).unwrap())
        .collect();
    rig.api.droplets().create(&new).await.unwrap();
}

async fn firewall(rig: &Rig, name: &str) {
    let spec = FirewallSpec {
        name: FirewallName::parse(name).unwrap(),
        rules: Rules {
            outbound: [OutboundRule {
                protocol: Protocol::Tcp,
                ports: Ports::All,
                destinations: Targets::anywhere(),
            }]
            .into(),
            ..Rules::default()
        },
        droplet_ids: [].into(),
        tags: [].into(),
    };
    rig.api.firewalls().create(&spec).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_has_our_mark_is_found_and_nothing_of_others() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    stranger(&rig, "unmarked", &["agentopia:test"]).await;
    stranger(&rig, "web", &["web"]).await;
    stranger(
        &rig,
        "other",
        &["agentopia:other", &format!("env:{}", rig.environment)],
    )
    .await;
    let own = format!("agentopia-test-env-{}", rig.environment);
    firewall(&rig, &own).await;
    firewall(&rig, &format!("agentopia-other-env-{}", rig.environment)).await;
    seconds(60).await;

    let mut found = rig.provider.inventory().await.unwrap();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    let [machine, wall, unmarked] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (machine.kind, &machine.id),
        (ProviderThing::Machine, &made.id)
    );
    assert_eq!(machine.environment, Some(rig.environment));
    assert_eq!(machine.monthly_price_cents, Some(1200));
    assert_eq!((wall.kind, &wall.name), (ProviderThing::Firewall, &own));
    assert_eq!(
        (unmarked.name.as_str(), unmarked.environment),
        ("unmarked", None)
    );

    let refused = rig
        .provider
        .remove_found(unmarked, Proof::Marks)
        .await
        .unwrap_err();
    assert!(matches!(refused, ProviderError::Final(_)), "{refused}");
    for thing in [machine, wall] {
        while rig
            .provider
            .remove_found(thing, Proof::Marks)
            .await
            .unwrap()
            == Deletion::InProgress
        {
            seconds(2).await;
        }
    }
    let left = rig.provider.inventory().await.unwrap();
    assert_eq!(left.len(), 1, "{left:?}");

    // Somebody looked at it and repeats its name.
    let misnamed = Found {
        name: "web".to_owned(),
        ..unmarked.clone()
    };
    let refused = rig.provider.remove_found(&misnamed, Proof::Named).await;
    assert!(
        matches!(refused, Err(ProviderError::Final(_))),
        "{refused:?}"
    );
    while rig
        .provider
        .remove_found(unmarked, Proof::Named)
        .await
        .unwrap()
        == Deletion::InProgress
    {
        seconds(2).await;
    }
    assert!(rig.provider.inventory().await.unwrap().is_empty());
    assert_eq!(rig.droplets().await.len(), 2, "those of others are there");
}

#[tokio::test(start_paused = true)]
async fn what_lost_its_mark_meanwhile_is_left_alone() {
    let rig = Rig::new();
    rig.provider.create(&rig.request(1)).await.unwrap();
    seconds(60).await;
    let found = rig.provider.inventory().await.unwrap();
    let tag = TagName::parse("agentopia:test").unwrap();
    rig.api.tags().delete(&tag).await.unwrap();
    let refused = rig
        .provider
        .remove_found(&found[0], Proof::Marks)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("no longer proves"),
        "{refused}"
    );
    assert_eq!(rig.droplets().await.len(), 1);
}
