//! What a replica must never ask DigitalOcean for, looked at right before it does:
//!
//! * a droplet for an environment that has one: as long as lists lag by no more than a minute, this
//!   holds even for one of whose making nobody heard. Somebody who stood still in between can't know;
//!   and a request that was doubled on its way is not the replica's doing;
//! * a droplet that it asked for already: a create is sent once;
//! * the end of a machine that serves, or of a droplet that is not the installation's.

use std::collections::{BTreeMap, BTreeSet};

use agentopia_domain::EnvironmentId;
use agentopia_domain::environment::{DesiredEnvironment, Environment, EnvironmentStatus};
use bytes::Bytes;
use digitalocean_sim::DropletView;
use http::{Method, Request, Response};
use parking_lot::Mutex;
use serde_json::Value;

use crate::conductor::Party;
use crate::replica::INSTALLATION;
use crate::world::World;

const DROPLETS: &str = "/v2/droplets";

/// Who heard of which droplet's making, and what was asked for.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    heard: Mutex<BTreeMap<u64, Party>>,
    asked: Mutex<BTreeSet<String>>,
}

impl Ledger {
    /// A replica that lives got this answer.
    pub(crate) fn answered(&self, who: Party, request: &Request<Bytes>, answer: &Response<Bytes>) {
        if is_create(request) && answer.status().is_success() {
            let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            if let Some(id) = body["droplet"]["id"].as_u64() {
                self.heard.lock().insert(id, who);
            }
        }
    }
}

/// What is written down of the environment that a request is about.
pub(crate) async fn look(world: &World, request: &Request<Bytes>) -> Option<Environment> {
    let tags = match (is_create(request), deleted(request)) {
        (true, _) => tags(&body(request)),
        (_, Some(id)) => {
            let droplets = world.simulator.droplets().await;
            droplets
                .into_iter()
                .find(|droplet| droplet.id.0 == id)?
                .tags
        }
        _ => return None,
    };
    let environment = environment(&tags)?;
    let store = world.store_of(Party::Watcher);
    store.environments().get_unscoped(environment).await.ok()
}

/// Tells the world when a request should not be sent.
pub(crate) async fn judge(
    world: &World,
    who: Party,
    request: &Request<Bytes>,
    known: Option<Environment>,
) {
    if is_create(request) {
        judge_create(world, who, &body(request), known).await;
    } else if let Some(id) = deleted(request) {
        judge_delete(world, id, known).await;
    }
}

async fn judge_create(world: &World, who: Party, body: &Value, known: Option<Environment>) {
    let name = body["name"].as_str().unwrap_or_default();
    if !world.ledger.asked.lock().insert(name.to_owned()) {
        world.wrong(format!("{who} asks twice for the droplet {name}"));
    }
    let wanted = environment(&tags(body));
    // One that stood still can't know what others did meanwhile.
    if wanted.is_none() || world.conductor.was_paused(who) {
        return;
    }
    for droplet in world.simulator.droplets().await {
        if droplet.leaving || !is_ours(&droplet) || environment(&droplet.tags) != wanted {
            continue;
        }
        let heard = world.ledger.heard.lock().get(&droplet.id.0).copied();
        let alive = heard.is_some_and(|who| !world.conductor.is_cut(who));
        let written = known.as_ref().and_then(|known| known.machine_id.clone());
        let how = match written == Some(droplet.id.to_string()) {
            true => "written down",
            false if alive => "known",
            false => "there",
        };
        world.wrong(format!(
            "{who} asks for a second droplet although droplet {} is {how}",
            droplet.id
        ));
    }
}

async fn judge_delete(world: &World, id: u64, known: Option<Environment>) {
    let droplets = world.simulator.droplets().await;
    let Some(droplet) = droplets.into_iter().find(|droplet| droplet.id.0 == id) else {
        return;
    };
    if !is_ours(&droplet) {
        world.wrong(format!("droplet {id} is somebody else's and is deleted"));
    }
    let serves = known.is_some_and(|known| {
        known.desired == DesiredEnvironment::Enabled
            && known.status == EnvironmentStatus::Active
            && known.machine_id == Some(id.to_string())
    });
    if serves && droplet.status == "active" {
        world.wrong(format!("droplet {id} serves and is deleted"));
    }
}

fn is_create(request: &Request<Bytes>) -> bool {
    request.method() == Method::POST && request.uri().path() == DROPLETS
}

/// The droplet that a request deletes.
fn deleted(request: &Request<Bytes>) -> Option<u64> {
    let path = request.uri().path().strip_prefix(DROPLETS)?;
    let id = path.strip_prefix('/')?.parse().ok()?;
    (request.method() == Method::DELETE).then_some(id)
}

fn body(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).unwrap_or_default()
}

fn tags(body: &Value) -> Vec<String> {
    let tags = body["tags"].as_array().into_iter().flatten();
    tags.filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect()
}

/// The environment that these tags name.
pub(crate) fn environment(tags: &[String]) -> Option<EnvironmentId> {
    tags.iter().find_map(|tag| {
        let tag = tag.to_ascii_lowercase();
        tag.strip_prefix("env:")?.parse().ok()
    })
}

/// Whether a droplet carries the installation's tag.
pub(crate) fn is_ours(droplet: &DropletView) -> bool {
    let wanted = format!("agentopia:{INSTALLATION}");
    let mut tags = droplet.tags.iter();
    tags.any(|tag| tag.eq_ignore_ascii_case(&wanted))
}
