//! Droplets of somebody else on the same account, with tags that could be mistaken for ours: nobody
//! may touch them.

use agentopia_domain::AccountId;
use axum::body::Body;
use digitalocean_sim::FULL_TOKEN;
use http::Request;
use serde_json::json;
use tokio::time::{Duration, sleep};
use tower::ServiceExt as _;

use crate::conductor::Party;
use crate::world::World;

/// How often to look whether the account has an environment by now.
const LOOK: Duration = Duration::from_secs(2);

/// Makes one, with the tag of the account's environment, once that is there.
pub(crate) async fn settle(world: &World, account: AccountId) {
    let store = world.store_of(Party::Watcher);
    let id = loop {
        if let Ok(Some(environment)) = store.environments().find(account).await {
            break environment.id;
        }
        sleep(LOOK).await;
    };
    let body = json!({
        "name": "somebody-else",
        "region": "fra1",
        "size": "s-1vcpu-1gb",
        "image": "ubuntu-24-04-x64",
        "tags": ["agentopia", "agentopia:other", format!("env:{id}")],
    });
    let request = Request::post("/v2/droplets")
        .header("authorization", format!("Bearer {FULL_TOKEN}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()));
    if let Ok(request) = request {
        let answer = match world.cloud.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        world.trace.say(format_args!(
            "somebody else makes a droplet: {}",
            answer.status()
        ));
    }
}
