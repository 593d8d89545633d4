//! What belongs to nobody at the provider (ENV-8): admins see it and have it removed, and what does
//! not prove to be ours only by its name.

use agentopia_domain::OrphanId;
use agentopia_domain::orphan::{Orphan, OrphanReason, ProviderThing};
use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn an_orphan_is_removed_by_admins_and_by_name_where_nothing_else_proves_it() {
    let (app, admin) = App::with_admin().await;
    let bo = app.user(&admin, "bo").await;
    let ambient = &app.state.ambient;
    let orphan = |provider_id: &str, reason| Orphan {
        id: ambient.new_id::<OrphanId>(),
        kind: ProviderThing::Machine,
        provider_id: provider_id.to_owned(),
        name: format!("droplet-{provider_id}"),
        environment_id: None,
        reason,
        monthly_price_cents: None,
        provider_created_at: None,
        first_seen_at: ambient.now(),
        last_seen_at: ambient.now(),
        removal_requested_at: None,
    };
    let ours = orphan("1", OrphanReason::UnknownEnvironment);
    let unmarked = orphan("2", OrphanReason::Unmarked);
    let found = [ours.clone(), unmarked.clone()];
    app.state
        .store
        .orphans()
        .replace(&found, &[])
        .await
        .unwrap();

    let path = |id: OrphanId| format!("/api/v1/orphans/{id}/remove");
    app.post(&bo, &path(ours.id), json!({}))
        .await
        .problem(403, "forbidden");
    app.post(&admin, &path(ambient.new_id()), json!({}))
        .await
        .problem(404, "not_found");
    let unnamed = app.post(&admin, &path(unmarked.id), json!({})).await;
    let unnamed = unnamed.problem(422, "invalid_input");
    assert!(
        unnamed.to_string().contains("may be somebody's"),
        "{unnamed}"
    );
    let other = json!({"name": "droplet-1"});
    app.post(&admin, &path(unmarked.id), other)
        .await
        .problem(422, "invalid_input");
    let list = app.get(&admin, "/api/v1/orphans").await.ok(200);
    assert!(!list.to_string().contains("removal_requested_at"), "{list}");

    app.post(&admin, &path(ours.id), json!({})).await.ok(202);
    let name = json!({"name": unmarked.name});
    app.post(&admin, &path(unmarked.id), name.clone())
        .await
        .ok(202);
    // Again: nothing more happens.
    app.post(&admin, &path(unmarked.id), name).await.ok(202);
    let list = app.get(&admin, "/api/v1/orphans").await.ok(200);
    let items = list["items"].as_array().unwrap();
    assert!(
        items
            .iter()
            .all(|it| it["removal_requested_at"].is_string())
    );
    let events = app.get(&admin, "/api/v1/events?limit=200").await.ok(200);
    let asked = events["items"].as_array().unwrap().iter();
    let asked = asked.filter(|event| event["kind"] == "orphan.removal_requested");
    assert_eq!(asked.count(), 2);
    let others = app.get(&bo, "/api/v1/events?limit=200").await.ok(200);
    assert!(!others.to_string().contains("orphan."), "{others}");
}
