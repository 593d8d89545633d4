//! Sizes, prices and scaling. The provider is played: what a machine does stands in the store.

use agentopia_domain::environment::{
    Environment, EnvironmentEvent as E, EnvironmentStatus as S, Scaling, ScalingPhase,
};
use agentopia_domain::page::PageRequest;
use agentopia_store::EnvironmentPatch;
use tokio::task::JoinHandle;

use crate::server::{Ran, Server, finish};

async fn only(server: &Server) -> Environment {
    let environments = server.store.environments();
    let all = environments.list_unscoped(PageRequest::default()).await;
    all.unwrap().items.remove(0)
}

async fn becomes(server: &Server, from: S, event: E, patch: EnvironmentPatch) {
    let id = only(server).await.id;
    let environments = server.store.environments();
    let moved = environments.transition_unscoped(id, None, from, event, patch, &[]);
    moved.await.unwrap();
}

/// With an active machine of the size `small`.
async fn active() -> Server {
    let server = Server::with_admin().await;
    server.run("env enable --detach").await.ok();
    let patch = EnvironmentPatch::default();
    becomes(&server, S::PendingCreation, E::CreateStarted, patch).await;
    let patch = EnvironmentPatch {
        size: Some(Some("small".to_owned())),
        monthly_price_cents: Some(Some(1200)),
        ..EnvironmentPatch::default()
    };
    becomes(&server, S::Creating, E::Ready, patch).await;
    server
}

#[tokio::test]
async fn sizes_and_prices_are_shown() {
    let server = active().await;
    let table = server.run("env sizes").await.ok().out;
    assert!(
        table.contains("large") && table.contains("$24.00 a month"),
        "{table}"
    );
    assert!(table.contains("your machine has it"), "{table}");
    let status = server.run("env status").await.ok().out;
    assert!(status.contains("$12.00 a month"), "{status}");
    let nothing = server.run("admin orphans").await.ok().out;
    assert!(nothing.contains("belongs to nobody"), "{nothing}");
}

/// The command that changes the size, and the environment as soon as it was asked for.
async fn scaling(server: &Server) -> (JoinHandle<Ran>, Environment) {
    let running = tokio::spawn(finish(server.command("env scale large --yes"), ""));
    let asked = async {
        loop {
            let now = only(server).await;
            if now.status == S::Scaling {
                return now;
            }
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(20);
    let begun = tokio::time::timeout(limit, asked).await;
    (running, begun.unwrap())
}

#[tokio::test]
async fn a_change_of_size_shows_its_steps_and_ends_when_it_is_done() {
    let server = active().await;
    let refused = server.run("env scale huge --yes").await.failed(1);
    assert!(
        refused.err.contains("large"),
        "it names what there is: {refused:?}"
    );

    let (running, begun) = scaling(&server).await;
    let further = Scaling {
        phase: ScalingPhase::Resizing,
        ..begun.scaling.unwrap()
    };
    let patch = EnvironmentPatch {
        scaling: Some(Some(further)),
        ..EnvironmentPatch::default()
    };
    let environments = server.store.environments();
    environments
        .update_unscoped(begun.id, None, patch, &[])
        .await
        .unwrap();
    let status = server.run("env status").await.ok().out;
    assert!(status.contains("the provider changes its size"), "{status}");
    let patch = EnvironmentPatch {
        size: Some(Some("large".to_owned())),
        monthly_price_cents: Some(Some(2400)),
        ..EnvironmentPatch::default()
    };
    becomes(&server, S::Scaling, E::ScaleFinished, patch).await;
    let ran = running.await.unwrap().ok();
    assert!(
        ran.out.contains("has the size large now ($24.00 a month)"),
        "{ran:?}"
    );
    assert!(ran.err.contains("shutting the machine down"), "{ran:?}");
}

#[tokio::test]
async fn a_change_of_size_that_fails_says_why() {
    let server = active().await;
    let (running, _) = scaling(&server).await;
    server.run("env scale large --yes").await.failed(1);
    let patch = EnvironmentPatch {
        error_message: Some(Some("The size could not be changed: no room.".to_owned())),
        ..EnvironmentPatch::default()
    };
    becomes(&server, S::Scaling, E::ScaleFinished, patch).await;
    let ran = running.await.unwrap().failed(1);
    assert!(ran.err.contains("no room"), "{ran:?}");
}
