//! What belongs to nobody at the provider, removed by hand. The search is played: what it found
//! stands in the store.

use agentopia_domain::orphan::{Orphan, OrphanReason, ProviderThing};

use crate::server::Server;

#[tokio::test]
async fn an_orphan_is_removed_at_the_admins_word_and_one_of_others_only_by_name() {
    let server = Server::with_admin().await;
    let now = agentopia_domain::Ambient::system();
    let orphan = |provider_id: &str, name: &str, reason| Orphan {
        id: now.new_id(),
        kind: ProviderThing::Machine,
        provider_id: provider_id.to_owned(),
        name: name.to_owned(),
        environment_id: None,
        reason,
        monthly_price_cents: Some(600),
        provider_created_at: None,
        first_seen_at: now.now(),
        last_seen_at: now.now(),
        removal_requested_at: None,
    };
    let found = [
        orphan("4711", "old", OrphanReason::UnknownEnvironment),
        orphan("4712", "web-1", OrphanReason::Unmarked),
    ];
    server.store.orphans().replace(&found, &[]).await.unwrap();

    let command = "admin orphans remove";
    let asked = server.run(&format!("{command} 4711")).await.failed(2);
    assert!(asked.err.contains("--yes"), "{asked:?}");
    let unknown = server.run(&format!("{command} 1 --yes")).await.failed(2);
    assert!(unknown.err.contains("no orphan 1"), "{unknown:?}");
    let unnamed = server.run(&format!("{command} 4712 --yes")).await.failed(2);
    assert!(unnamed.err.contains("--name web-1"), "{unnamed:?}");
    let misnamed = server
        .run(&format!("{command} 4712 --yes --name web-2"))
        .await
        .failed(1);
    assert!(misnamed.err.contains("not its name"), "{misnamed:?}");
    let list = server.run("admin orphans").await.ok().out;
    assert!(!list.contains("is being removed"), "{list}");

    let done = server.run(&format!("{command} 4711 --yes")).await.ok().out;
    assert!(done.contains("4711 is being removed"), "{done}");
    let named = format!("{command} 4712 --yes --name web-1 -o json");
    let named = server.run(&named).await.ok().json();
    assert!(named["removal_requested_at"].is_string(), "{named}");
    let list = server.run("admin orphans").await.ok().out;
    assert_eq!(list.matches("is being removed").count(), 2, "{list}");
    let events = server.run("events list").await.ok().out;
    assert!(events.contains("asked to remove 4712 (web-1)"), "{events}");
}
