//! Keeps the gateway's route table in line with the store.
//!
//! The table is built anew from one consistent read whenever somebody rang (a link, a token, a
//! status changed here) and every few seconds (it changed on another replica; this bounds how long
//! a revoked token still works). Calls that arrive after a ring wait for the new table, so whoever
//! makes a link and calls at once is served.

use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::environment::Environment;
use agentopia_domain::instance::{Instance, InstanceStatus};
use agentopia_domain::link::Link;
use agentopia_domain::oauth;
use agentopia_domain::token::TokenSubject;
use agentopia_domain::versions::Slot;
use agentopia_gateway::{
    AccountRoute, AgentRoute, Gateway, InstanceRoute, LinkRoute, Pins, Rest, Snapshot, TokenRoute,
    UpstreamLocation,
};
use agentopia_store::{GatewaySnapshot, PinnedTools, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the table is built without a ring: well below the ten seconds in which a revocation
/// has to work.
const POLL: Duration = Duration::from_secs(3);
/// How long a call waits for a table that is being built.
const PATIENCE: Duration = Duration::from_secs(2);

/// Rung when the table is stale. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RoutesBell {
    /// How often it was rung.
    rung: watch::Sender<u64>,
    /// Up to which ring the table is built.
    built: watch::Sender<u64>,
}

impl Default for RoutesBell {
    fn default() -> Self {
        Self {
            rung: watch::channel(0).0,
            built: watch::channel(0).0,
        }
    }
}

impl RoutesBell {
    /// Something that the table is built from has changed, and is committed.
    pub fn ring(&self) {
        self.rung.send_modify(|count| *count += 1);
    }

    /// Returns once the table has everything that was rung for so far. Free when nothing was.
    pub async fn settled(&self) {
        let wanted = *self.rung.borrow();
        if *self.built.borrow() >= wanted {
            return;
        }
        let mut built = self.built.subscribe();
        let done = built.wait_for(|count| *count >= wanted);
        // Served from the table as it is when the store does not answer: better than not at all.
        let _late = tokio::time::timeout(PATIENCE, done).await;
    }
}

/// Builds tables until `shutdown`.
pub async fn run(store: Store, gateway: Gateway, bell: RoutesBell, shutdown: CancellationToken) {
    let mut rung = bell.rung.subscribe();
    loop {
        let upto = *rung.borrow_and_update();
        match store.gateway_snapshot().await {
            Ok(read) => {
                gateway.replace(routes(read));
                bell.built.send_replace(upto);
            }
            Err(error) => tracing::warn!(%error, "the route table could not be built"),
        }
        tokio::select! {
            changed = rung.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(POLL) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// The table of what the store had at one moment. Pure.
#[must_use]
pub fn routes(read: GatewaySnapshot) -> Snapshot {
    let GatewaySnapshot {
        agents,
        tokens,
        logins,
        links,
        instances,
        environments,
        settings,
        calls_today,
        pinned,
        sequence: _,
    } = read;
    let mut links = links;
    links.sort_by_key(|link| (link.activated_at, link.id));
    let agents = agents
        .into_iter()
        .map(|agent| AgentRoute {
            links: links
                .iter()
                .filter(|link| link.agent_id == agent.id)
                .map(link_route)
                .collect(),
            id: agent.id,
            account_id: agent.account_id,
            name: agent.name.as_str().to_owned(),
            description: agent.description,
            search: agent.search_mode,
            calls_per_day: agent.calls_per_day,
        })
        .collect();
    let tokens = tokens
        .into_iter()
        .filter_map(|stored| match stored.token.subject {
            TokenSubject::Agent(agent_id) => Some(TokenRoute {
                hash: stored.hash,
                agent_id,
                expires_at: stored.token.expires_at,
                login: None,
            }),
            TokenSubject::Personal { .. } => None,
        })
        .chain(logins.into_iter().map(|login| TokenRoute {
            hash: login.hash,
            agent_id: login.agent_id,
            expires_at: Some(login.expires_at),
            login: Some(oauth::credential(login.grant_id)),
        }))
        .collect();
    let instances = instances
        .into_iter()
        .map(|instance| instance_route(instance, &environments))
        .collect();
    let accounts = settings
        .into_iter()
        .map(|(id, settings)| AccountRoute {
            id,
            keep_payloads: settings.keep_payloads,
            calls_per_day: settings.calls_per_day,
        })
        .collect();
    Snapshot {
        agents,
        tokens,
        instances,
        accounts,
        calls_today,
        pins: pinned.into_iter().map(pins).collect(),
    }
}

fn pins(pinned: PinnedTools) -> (InstanceId, Pins) {
    let pins = Pins {
        hold: pinned.hold,
        accepted: pinned.accepted,
        listed: pinned.listed,
    };
    (pinned.instance_id, pins)
}

fn link_route(link: &Link) -> LinkRoute {
    LinkRoute {
        id: link.id,
        instance_id: link.instance_id,
        policy: link.policy.clone(),
        exposed_names: link.exposed_names.clone(),
        credentials: link.credentials(),
    }
}

fn instance_route(instance: Instance, environments: &[Environment]) -> InstanceRoute {
    let environment = environments
        .iter()
        .find(|one| one.id == instance.environment_id);
    let serves = environment.is_some_and(|environment| environment.status.serves());
    let epoch = epoch(&instance);
    let rest = match instance.status {
        InstanceStatus::Asleep => Rest::Asleep,
        _ if instance.idle_limit().is_none() => Rest::Never,
        InstanceStatus::PendingStart | InstanceStatus::Starting => Rest::Starting,
        _ => Rest::Awake,
    };
    let available = match instance.status {
        _ if !serves && instance.remote.is_none() => {
            Err("its tool environment is not active".to_owned())
        }
        // A start may be over before we hear of it: trying is cheap, refusing would be wrong.
        InstanceStatus::Running | InstanceStatus::Starting | InstanceStatus::PendingStart => Ok(()),
        // The gateway has it woken for a call.
        InstanceStatus::Asleep => Ok(()),
        InstanceStatus::ErrorRuntime => Err(instance
            .error_message
            .unwrap_or_else(|| "it does not come up".to_owned())),
        InstanceStatus::Stopping
        | InstanceStatus::Stopped
        | InstanceStatus::PendingRemoval
        | InstanceStatus::Removed => Err("it is stopped; start it first".to_owned()),
    };
    InstanceRoute {
        id: instance.id,
        account_id: instance.account_id,
        slug: slug(instance.name.as_str()),
        name: instance.name.as_str().to_owned(),
        location: match &instance.remote {
            Some(remote) => UpstreamLocation::Url(remote.url.clone()),
            None => match instance.versions.serving {
                Slot::First => UpstreamLocation::Machine(instance.environment_id),
                Slot::Second => UpstreamLocation::MachineSecond(instance.environment_id),
            },
        },
        epoch,
        rest,
        available,
        credentials: None,
    }
}

/// Changes whenever the server is started anew, or is to be called with other credentials. Steps of a change
/// of version start nothing anew; that calls go to another place is said by the location.
pub(crate) fn epoch(instance: &Instance) -> String {
    let container = instance.runtime.container_id.as_deref().unwrap_or_default();
    format!(
        "{}/{container}/{}",
        instance.generation - instance.versions.counted,
        instance.runtime.restarts
    )
}

/// The prefix of exposed names: what tool names may consist of.
fn slug(name: &str) -> String {
    let slug: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') {
                c
            } else {
                '-'
            }
        })
        .collect();
    slug.trim_matches('-').to_ascii_lowercase()
}
