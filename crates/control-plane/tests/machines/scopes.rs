//! A token that lacks one scope (docs/book/digitalocean.md): what was tried ends with a sentence that
//! names the scope, nothing is left, and it works as soon as the token is right.

use agentopia_digitalocean::ProjectId;
use agentopia_digitalocean::keys::NewKey;
use agentopia_domain::environment::{DesiredEnvironment, Environment, EnvironmentStatus};

use crate::droplets::Droplets;

/// The table of the page, with a key and a project configured.
pub(crate) const ALL: [&str; 15] = [
    "droplet:create",
    "droplet:read",
    "droplet:update",
    "droplet:delete",
    "firewall:create",
    "firewall:read",
    "firewall:update",
    "firewall:delete",
    "tag:create",
    "tag:read",
    "regions:read",
    "sizes:read",
    "image:read",
    "ssh_key:read",
    "project:update",
];
const LARGE: &str = "s-2vcpu-4gb";
const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1cCzmSCoeyJmvbxT2KfO+WQ2JZT0gH5UYGrzM8rJrQ test";

fn is(status: EnvironmentStatus) -> impl Fn(&Environment) -> bool {
    move |now| now.status == status
}

/// With a key and a project that exist, and a token that has all scopes but one.
async fn without(scope: &str) -> Droplets {
    let mut droplets = Droplets::new().await;
    let api = droplets.api();
    let key = NewKey {
        name: "admin".to_owned(),
        public_key: PUBLIC_KEY.to_owned(),
    };
    let key = api.keys().create(&key).await.unwrap();
    droplets.settings.ssh_keys = vec![key.fingerprint];
    let projects = api.projects().list().all().await.unwrap();
    let project: ProjectId = projects[0].id.clone();
    droplets.settings.project = Some(project);
    droplets.restart();
    let mut scopes = ALL.to_vec();
    scopes.retain(|each| *each != scope);
    droplets.allow(&scopes);
    droplets
}

#[tokio::test]
async fn with_the_scopes_of_the_page_a_whole_life_succeeds() {
    let mut droplets = without("none").await;
    droplets.become_active().await;
    assert_eq!(droplets.now().await.notice, None, "it is in its project");
    droplets.scale(LARGE).await;
    let now = droplets.until(is(EnvironmentStatus::Active)).await;
    assert_eq!(
        (now.size.as_deref(), now.error_message),
        (Some(LARGE), None)
    );
    droplets.want(DesiredEnvironment::Disabled).await;
    droplets.until(is(EnvironmentStatus::Deleted)).await;
    assert!(droplets.droplets().await.is_empty());
}

#[tokio::test]
async fn without_a_scope_that_making_a_machine_needs_none_is_made_until_it_is_there() {
    for scope in [
        "droplet:create",
        "droplet:read",
        "tag:create",
        "tag:read",
        "firewall:create",
        "firewall:read",
        "regions:read",
        "sizes:read",
        "image:read",
        "ssh_key:read",
    ] {
        let mut droplets = without(scope).await;
        let now = droplets.until(is(EnvironmentStatus::ErrorCreation)).await;
        let told = now.error_message.unwrap();
        assert!(told.contains(scope), "{scope}: {told}");
        assert!(told.contains("control panel"), "{scope}: {told}");
        droplets.settle().await;
        assert!(droplets.droplets().await.is_empty(), "{scope}");
        let now = droplets.now().await;
        assert_eq!(now.status, EnvironmentStatus::ErrorCreation, "{scope}");
        let still = now.error_message.unwrap();
        assert!(still.contains(scope), "{scope}: the reason stays: {still}");
        assert_eq!(now.machine_id, None, "{scope}");

        droplets.allow(&ALL);
        droplets.want(DesiredEnvironment::Enabled).await;
        droplets.become_active().await;
        assert_eq!(droplets.now().await.error_message, None, "{scope}");
        assert_eq!(droplets.droplets().await.len(), 1, "{scope}");
    }
}

#[tokio::test]
async fn without_the_scope_for_changes_a_machine_keeps_its_size_and_serves() {
    let mut droplets = without("droplet:update").await;
    droplets.become_active().await;
    let before = droplets.now().await.size;
    droplets.scale(LARGE).await;
    let now = droplets.until(is(EnvironmentStatus::Active)).await;
    let told = now.error_message.unwrap();
    assert!(told.contains("droplet:update"), "{told}");
    assert_eq!(now.size, before);
    assert_eq!(droplets.droplets().await[0].status, "active");
    droplets.allow(&ALL);
    droplets.scale(LARGE).await;
    let now = droplets.until(is(EnvironmentStatus::Active)).await;
    assert_eq!(
        (now.size.as_deref(), now.error_message),
        (Some(LARGE), None)
    );
}

#[tokio::test]
async fn without_the_scope_for_deletions_that_is_told_and_done_when_it_is_there() {
    let mut droplets = without("droplet:delete").await;
    droplets.become_active().await;
    droplets.want(DesiredEnvironment::Disabled).await;
    let now = droplets.until(is(EnvironmentStatus::ErrorDeletion)).await;
    let told = now.error_message.unwrap();
    assert!(told.contains("droplet:delete"), "{told}");
    let before = droplets.timeline().await.len();
    droplets.settle().await;
    let after = droplets.timeline().await.len();
    assert!(
        after - before <= 20,
        "{} events in five minutes",
        after - before
    );
    assert_eq!(droplets.droplets().await.len(), 1);

    droplets.allow(&ALL);
    let now = droplets.until(is(EnvironmentStatus::Deleted)).await;
    assert_eq!(now.error_message, None);
    assert!(droplets.droplets().await.is_empty());
}

#[tokio::test]
async fn without_the_scope_for_projects_a_machine_serves_and_the_notice_goes_when_it_is_there() {
    let mut droplets = without("project:update").await;
    droplets.become_active().await;
    let now = droplets.now().await;
    let told = now.notice.unwrap().text;
    for part in ["project:update", "DO_PROJECT_ID"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(now.status, EnvironmentStatus::Active);
    droplets.allow(&ALL);
    droplets.until(|now| now.notice.is_none()).await;
    assert_eq!(droplets.droplets().await.len(), 1);
}
