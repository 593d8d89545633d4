//! What could not be made leaves nothing behind (ENV-8, ENV-12), and what was lost is made anew or
//! told of, as the operator wants it (ENV-9).

use std::time::Duration;

use agentopia_domain::environment::{
    DesiredEnvironment, Environment, EnvironmentStatus, LostMachine,
};
use agentopia_store::{EnvironmentPatch, Placement};
use digitalocean_sim::faults::{ResourceFault, When};
use digitalocean_sim::settings::Delay;

use crate::droplets::Droplets;

fn failed(environment: &Environment) -> bool {
    environment.status == EnvironmentStatus::ErrorCreation
}

#[tokio::test]
async fn a_droplet_that_never_reports_is_taken_away_again() {
    let mut droplets = Droplets::new().await;
    droplets.is_mute = true;
    droplets.until(failed).await;
    droplets.settle().await;
    assert!(droplets.droplets().await.is_empty(), "nothing is billed");
    let now = droplets.now().await;
    assert!(failed(&now), "it is not tried again by itself");
    assert_eq!((now.machine_id, now.monthly_price_cents), (None, None));
    assert!(now.error_message.unwrap().contains("did not enrol in time"));
    let credentials = droplets.at.store.dtma_credentials();
    let credential = credentials
        .by_environment_unscoped(droplets.environment)
        .await;
    assert!(credential.unwrap().is_none(), "it is revoked");
    let undone = |kind: &str| kind == "environment.machine_undone";
    let timeline = droplets.timeline().await;
    assert_eq!(
        timeline.iter().filter(|event| undone(&event.kind)).count(),
        1
    );

    droplets.want(DesiredEnvironment::Enabled).await;
    droplets
        .until(|now| now.status == EnvironmentStatus::Creating && now.machine_id.is_some())
        .await;
    assert_eq!(droplets.droplets().await.len(), 1);
}

#[tokio::test]
async fn a_wrong_wish_ends_with_what_to_do_and_can_be_mended() {
    for (placement, said) in [
        (("fra9", "s-1vcpu-2gb", "ubuntu-24-04-x64"), "choose one of"),
        (
            ("fra1", "s-0vcpu", "ubuntu-24-04-x64"),
            "the cheapest in fra1",
        ),
        (
            ("fra1", "s-1vcpu-512mb-10gb", "ubuntu-24-04-x64"),
            "can't be had in fra1",
        ),
        (("fra1", "s-1vcpu-2gb", "beos-5"), "choose another one"),
    ] {
        let mut droplets = Droplets::new().await;
        let place = |(region, size, image): (&str, &str, &str)| Placement {
            region: Some(region.to_owned()),
            size: Some(size.to_owned()),
            image: Some(image.to_owned()),
        };
        let environments = droplets.at.store.environments();
        let wrong = place(placement);
        let patch = EnvironmentPatch {
            region: Some(wrong.region),
            size: Some(wrong.size),
            image: Some(wrong.image),
            ..EnvironmentPatch::default()
        };
        let id = droplets.environment;
        environments
            .update_unscoped(id, None, patch, &[])
            .await
            .unwrap();
        let now = droplets.until(failed).await;
        let told = now.error_message.unwrap();
        assert!(told.contains(said), "{told}");
        droplets.settle().await;
        let still = droplets.now().await.error_message;
        assert_eq!(still, Some(told), "the reason stays");
        assert!(droplets.droplets().await.is_empty());

        let right = place(("fra1", "s-1vcpu-1gb", "ubuntu-24-04-x64"));
        let environments = droplets.at.store.environments();
        assert!(environments.place(droplets.account, right).await.unwrap());
        droplets.want(DesiredEnvironment::Enabled).await;
        let made = droplets
            .until(|now| now.status == EnvironmentStatus::Creating && now.machine_id.is_some())
            .await;
        assert_eq!(made.error_message, None);
        assert_eq!(droplets.droplets().await[0].size, "s-1vcpu-1gb");
    }
}

#[tokio::test]
async fn what_only_the_operator_can_mend_is_told_and_the_account_can_try_again() {
    type Change = fn(&mut Droplets);
    let cases: [(&str, Change, Change, &str); 2] = [
        (
            "a key that the account does not have",
            |rig| rig.settings.ssh_keys = vec!["aa:bb:cc".to_owned()],
            |rig| rig.settings.ssh_keys.clear(),
            "DO_SSH_KEY_FINGERPRINTS",
        ),
        (
            "a token that is not known",
            |rig| rig.simulator.set_tokens(Vec::new()),
            |rig| rig.allow(&crate::scopes::ALL),
            "personal access token",
        ),
    ];
    for (name, spoil, mend, said) in cases {
        let mut droplets = Droplets::new().await;
        spoil(&mut droplets);
        droplets.restart();
        let now = droplets.until(failed).await;
        let told = now.error_message.unwrap();
        assert!(told.contains(said), "{name}: {told}");
        droplets.settle().await;
        assert!(droplets.droplets().await.is_empty(), "{name}");
        mend(&mut droplets);
        droplets.restart();
        droplets.want(DesiredEnvironment::Enabled).await;
        let made = droplets.until(|now| now.machine_id.is_some()).await;
        assert_eq!(made.error_message, None, "{name}");
        assert_eq!(droplets.droplets().await.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_account_that_is_full_is_told_of_and_tried_again_when_asked() {
    let mut droplets = Droplets::new().await;
    let mut settings = droplets.simulator.settings();
    settings.droplet_limit = 0;
    droplets.simulator.set_settings(settings.clone());
    let now = droplets.until(failed).await;
    let told = now.error_message.unwrap();
    assert!(told.contains("higher droplet limit"), "{told}");
    settings.droplet_limit = 1;
    droplets.simulator.set_settings(settings);
    droplets.want(DesiredEnvironment::Enabled).await;
    droplets.until(|now| now.machine_id.is_some()).await;
}

#[tokio::test]
async fn a_droplet_that_vanished_is_made_anew_once() {
    let mut droplets = Droplets::active().await;
    let lost = droplets.droplets().await[0].id;
    assert!(droplets.simulator.destroy(lost).await);
    let again = droplets
        .until(|now| now.status == EnvironmentStatus::Creating && now.machine_id.is_some())
        .await;
    let [droplet] = &droplets.droplets().await[..] else {
        panic!("not one droplet");
    };
    assert_eq!(again.machine_id, Some(droplet.id.to_string()));
    assert_ne!(droplet.id, lost);
}

#[tokio::test]
async fn a_droplet_asked_for_twice_on_the_way_takes_the_place_of_the_one_that_vanished() {
    let mut droplets = Droplets::new().await;
    droplets.until(|now| now.machine_id.is_some()).await;
    let first = droplets.droplets().await.remove(0);
    let mut settings = droplets.simulator.settings();
    settings.delays.tag_list = Delay::exactly(Duration::from_secs(60));
    droplets.simulator.set_settings(settings);
    let tags: Vec<&str> = first.tags.iter().map(String::as_str).collect();
    droplets.stranger(&first.name, &tags).await;
    assert!(droplets.simulator.destroy(first.id).await);
    let was = first.id.to_string();
    let now = droplets
        .until(|now| now.machine_id != Some(was.clone()))
        .await;
    let [droplet] = &droplets.droplets().await[..] else {
        panic!("a third one was asked for");
    };
    assert_eq!(now.machine_id, Some(droplet.id.to_string()));
}

#[tokio::test]
async fn a_droplet_that_vanished_is_an_error_where_the_operator_wants_that() {
    let mut droplets = Droplets::active().await;
    droplets.reconciler.lost_machine = LostMachine::Error;
    let lost = droplets.droplets().await[0].id;
    assert!(droplets.simulator.destroy(lost).await);
    let now = droplets.until(failed).await;
    let told = now.error_message.unwrap();
    assert!(told.contains("turn the environment on again"), "{told}");
    droplets.settle().await;
    assert!(droplets.droplets().await.is_empty());
    droplets.want(DesiredEnvironment::Enabled).await;
    droplets.until(|now| now.machine_id.is_some()).await;
    assert_eq!(droplets.droplets().await.len(), 1);
}

#[tokio::test]
async fn a_droplet_that_survives_its_undoing_is_deleted_again() {
    let mut droplets = Droplets::new().await;
    droplets.is_mute = true;
    droplets.fault(ResourceFault::Survivor, None, When::nth(1));
    droplets.until(failed).await;
    droplets.settle().await;
    assert!(droplets.droplets().await.is_empty());
}
