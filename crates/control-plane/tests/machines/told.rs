//! What people are told when something goes wrong, where they look first: in the status of their
//! environment. It goes when it is over.

use agentopia_digitalocean::ProjectId;
use agentopia_domain::environment::{DesiredEnvironment, Environment, EnvironmentStatus};

use crate::droplets::Droplets;

/// The machine reports that its first start failed.
async fn bootstrap_fails(droplets: &Droplets, why: &str) {
    let credentials = droplets.at.store.dtma_credentials();
    let credential = credentials
        .by_environment_unscoped(droplets.environment)
        .await
        .unwrap()
        .unwrap();
    let noted = credentials
        .note_bootstrap_failure(credential.id, droplets.environment, why, &[])
        .await;
    assert!(noted.unwrap());
}

fn is_made(now: &Environment) -> bool {
    now.status == EnvironmentStatus::Creating && now.machine_id.is_some()
}

#[tokio::test]
async fn a_first_start_that_failed_ends_the_creation_at_once_and_its_log_is_told() {
    let mut droplets = Droplets::new().await;
    droplets.until(is_made).await;
    let begun = droplets.at.ambient.now();
    bootstrap_fails(&droplets, "it failed at `docker`: no space left").await;
    let failed = |now: &Environment| now.status == EnvironmentStatus::ErrorCreation;
    let now = droplets.until(failed).await;
    let took = droplets.at.ambient.now() - begun;
    assert!(took.num_seconds() < 30, "nobody waits for what failed");
    let said = now.error_message.unwrap();
    assert_eq!(said, "it failed at `docker`: no space left");
    droplets.settle().await;
    assert!(droplets.droplets().await.is_empty(), "it is taken away");
    let now = droplets.now().await;
    assert!(failed(&now), "it is not tried again by itself");
    assert_eq!(now.error_message, Some(said), "the reason stays");

    droplets.want(DesiredEnvironment::Enabled).await;
    droplets.become_active().await;
    assert_eq!(droplets.now().await.error_message, None);
    assert_eq!(droplets.droplets().await.len(), 1);
}

#[tokio::test]
async fn a_wrong_project_is_told_of_while_the_machine_serves_and_until_it_is_right() {
    let mut droplets = Droplets::new().await;
    let right = droplets.api().projects().list().all().await.unwrap();
    let right: ProjectId = right[0].id.clone();
    let wrong = "00000000-0000-4000-8000-000000000000".to_owned();
    droplets.settings.project = Some(ProjectId(wrong.clone()));
    droplets.restart();
    droplets.become_active().await;
    let now = droplets.now().await;
    let told = now.notice.unwrap().text;
    assert!(
        told.contains("DO_PROJECT_ID") && told.contains(&wrong),
        "{told}"
    );
    assert_eq!(now.status, EnvironmentStatus::Active);
    // It is tried again and told of once.
    for _ in 0..5 {
        droplets.step().await;
        droplets.pass(900).await;
    }
    assert!(droplets.now().await.notice.is_some());
    let told = droplets.timeline().await;
    let told = told
        .iter()
        .filter(|event| event.kind == "environment.notice");
    assert_eq!(told.count(), 1);

    droplets.settings.project = Some(right);
    droplets.restart();
    droplets.until(|now| now.notice.is_none()).await;
    assert_eq!(droplets.now().await.status, EnvironmentStatus::Active);
}
