//! Which droplet is the machine: after crashes, with lists that lag, with doubles.

use std::time::Duration;

use agentopia_cloud::{MachineProvider as _, MachineState, ProviderError};
use agentopia_digitalocean::droplets::{DropletAction, ImageRef, NewDroplet, PowerAction};
use agentopia_digitalocean::{DropletId, DropletName, TagName};
use digitalocean_sim::faults::ResourceFault;
use digitalocean_sim::journal::JournalFilter;

use crate::rig::{Rig, seconds};

/// A droplet that somebody else made with these tags.
async fn droplet(rig: &Rig, name: &str, tags: &[&str]) -> DropletId {
    let image = ImageRef::Slug("ubuntu-24-04-x64".to_owned());
    let mut new = NewDroplet::new(DropletName::parse(name).unwrap(), "s-1vcpu-1gb", image);
    new.region = Some("fra1".to_owned());
    new.tags = tags
        .iter()
        .map(|tag| TagName::parse(*tag).unwrap())
        .collect();
    rig.api.droplets().create(&new).await.unwrap().droplet.id
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_droplet_is_found_by_its_tags() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    let found = rig
        .restarted()
        .find(rig.sought(None))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, made.id);
    assert_eq!(rig.creates(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_written_down_is_found_while_lists_lag() {
    let rig = Rig::new();
    rig.resource_fault(ResourceFault::ListLag, 60);
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    let again = rig.restarted();
    assert_eq!(
        again.find(rig.sought(None)).await.unwrap(),
        None,
        "the list lags"
    );
    let found = again
        .find(rig.sought(Some(&made.id)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, made.id);
    // Its own provider knows it without being told.
    let own = rig.provider.find(rig.sought(None)).await.unwrap().unwrap();
    assert_eq!(own.id, made.id);
}

#[tokio::test(start_paused = true)]
async fn a_double_goes_and_strangers_never() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    let env = format!("env:{}", rig.environment);
    let double = droplet(&rig, "double", &["agentopia", "agentopia:test", &env]).await;
    let strangers = [
        droplet(
            &rig,
            "other-installation",
            &["agentopia", "agentopia:other", &env],
        )
        .await,
        droplet(&rig, "no-installation", &["agentopia", &env]).await,
        droplet(
            &rig,
            "other-environment",
            &["agentopia", "agentopia:test", "env:x"],
        )
        .await,
    ];
    seconds(30).await;
    let found = rig
        .provider
        .find(rig.sought(Some(&made.id)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, made.id);
    seconds(10).await;
    let mut left = rig.droplets().await;
    left.sort_unstable();
    let mut expected: Vec<String> = strangers.iter().map(ToString::to_string).collect();
    expected.push(made.id.clone());
    expected.sort_unstable();
    assert_eq!(left, expected, "{double} should be gone, and nothing else");

    // Deleting the environment leaves the strangers alone, too.
    rig.delete(Some(&made.id)).await;
    assert_eq!(rig.droplets().await.len(), strangers.len());
}

#[tokio::test(start_paused = true)]
async fn what_is_written_down_stays_and_what_came_late_goes() {
    let rig = Rig::new();
    rig.resource_fault(ResourceFault::ListLag, 100);
    let lost = rig.provider.create(&rig.request(1)).await.unwrap();
    // After a crash nobody knows of it, and no list has it.
    let again = rig.restarted();
    let second = again.create(&rig.request(2)).await.unwrap();
    assert_ne!(second.id, lost.id);
    seconds(120).await;
    let found = again
        .find(rig.sought(Some(&second.id)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, second.id);
    seconds(10).await;
    assert_eq!(rig.droplets().await, [second.id]);
}

#[tokio::test(start_paused = true)]
async fn a_droplet_that_vanished_is_none() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    seconds(30).await;
    let id = rig.simulator.droplets().await[0].id;
    assert!(rig.simulator.destroy(id).await);
    let found = rig.provider.find(rig.sought(Some(&made.id))).await.unwrap();
    assert_eq!(found, None);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_lost_its_tags_is_not_taken_for_gone() {
    let rig = Rig::new();
    let stranger = droplet(&rig, "somebody", &["web"]).await;
    let found = rig
        .provider
        .find(rig.sought(Some(&stranger.to_string())))
        .await;
    let Err(ProviderError::Final(text)) = found else {
        panic!("{found:?}");
    };
    assert!(
        text.contains("lost its tags") && text.contains("agentopia:test"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_off_is_turned_on() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    let sought = rig.sought(Some(&made.id));
    seconds(30).await;
    let off = DropletAction::Power(PowerAction::PowerOff);
    let id = DropletId(made.id.parse().unwrap());
    rig.api.droplets().act(id, &off).await.unwrap();
    seconds(70).await;
    let found = rig.provider.find(sought).await.unwrap().unwrap();
    assert_eq!(found.state, MachineState::Off);
    rig.provider.start(sought).await.unwrap();
    seconds(10).await;
    let found = rig.provider.find(sought).await.unwrap().unwrap();
    assert_eq!(found.state, MachineState::Running);
    rig.provider.start(sought).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_droplet_that_is_busy_is_turned_on_later() {
    let rig = Rig::new();
    let mut settings = rig.simulator.settings();
    settings.delays.power = digitalocean_sim::settings::Delay::seconds(10, 10);
    rig.simulator.set_settings(settings);
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    let sought = rig.sought(Some(&made.id));
    seconds(30).await;
    let id = DropletId(made.id.parse().unwrap());
    let off = DropletAction::Power(PowerAction::PowerOff);
    rig.api.droplets().act(id, &off).await.unwrap();
    seconds(12).await;
    rig.provider.start(sought).await.unwrap();
    let busy = rig.provider.start(sought).await.unwrap_err();
    assert!(matches!(busy, ProviderError::Retryable(_)), "{busy}");
}

#[tokio::test(start_paused = true)]
async fn looking_often_costs_few_requests() {
    let rig = Rig::new();
    let made = rig.provider.create(&rig.request(1)).await.unwrap();
    seconds(40).await;
    let before = rig.simulator.journal(&JournalFilter::default()).len();
    for _ in 0..720 {
        rig.provider
            .find(rig.sought(Some(&made.id)))
            .await
            .unwrap()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let asked = rig.simulator.journal(&JournalFilter::default()).len() - before;
    assert!(asked <= 10, "{asked} requests in six minutes");
}
