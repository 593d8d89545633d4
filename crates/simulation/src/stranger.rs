//! What others did on the same account: droplets with tags that could be mistaken for ours, which
//! nobody may touch, and what an earlier version of the installation left.

use agentopia_domain::AccountId;
use axum::body::Body;
use digitalocean_sim::FULL_TOKEN;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};
use tower::ServiceExt as _;

use crate::conductor::Party;
use crate::replica::INSTALLATION;
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
    let status = post(world, "/v2/droplets", &body).await;
    world
        .trace
        .say(format_args!("somebody else makes a droplet: {status}"));
}

/// Leaves the firewall there that an earlier version of the installation made, with other rules.
pub(crate) async fn leave_firewall(world: &World) {
    let tag = format!("agentopia:{INSTALLATION}");
    post(world, "/v2/tags", &json!({ "name": tag })).await;
    let all = json!({ "addresses": ["0.0.0.0/0"] });
    let body = json!({
        "name": format!("agentopia-{INSTALLATION}"),
        "tags": [tag],
        "inbound_rules": [{ "protocol": "tcp", "ports": "22", "sources": all }],
        "outbound_rules": [{ "protocol": "tcp", "ports": "0", "destinations": all }],
    });
    let status = post(world, "/v2/firewalls", &body).await;
    world
        .trace
        .say(format_args!("an old firewall is left: {status}"));
}

async fn post(world: &World, path: &str, body: &Value) -> StatusCode {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {FULL_TOKEN}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()));
    let Ok(request) = request else {
        return StatusCode::BAD_REQUEST;
    };
    match world.cloud.clone().oneshot(request).await {
        Ok(answer) => answer.status(),
        Err(never) => match never {},
    }
}
