//! The route table: who may call, and where their calls go. All in memory (architecture: no
//! database access per call), one immutable snapshot behind one atomic pointer.
//!
//! The control plane builds a [`Snapshot`] from the store and hands it to
//! [`crate::Gateway::replace`]. What is equal to the snapshot before keeps its allocation, so that
//! "did this agent's links change?" is a pointer comparison and replacing an equal one costs
//! nothing but the comparison.

mod diff;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use agentopia_domain::account::CallCount;
use agentopia_domain::link::LinkPolicy;
use agentopia_domain::token::TokenHash;
use agentopia_domain::{AccountId, AgentId, EnvironmentId, InstanceId, LinkId};
use arc_swap::{ArcSwap, Guard};
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use url::Url;

pub(crate) use diff::RouteChanges;

use crate::pins::Pins;
use crate::quotas::Quota;

/// Everything the gateway needs to know, as the control plane last read it from the store.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Every agent, with its active links.
    pub agents: Vec<AgentRoute>,
    /// Every agent token that is not revoked.
    pub tokens: Vec<TokenRoute>,
    /// Every instance that is not removed.
    pub instances: Vec<InstanceRoute>,
    /// What owners decided for their accounts, where they did.
    pub accounts: Vec<AccountRoute>,
    /// How many calls were made today (UTC), by all replicas.
    pub calls_today: Vec<CallCount>,
    /// What instances may say of their tools; of those that are not named nothing is known yet.
    pub pins: Vec<(InstanceId, Pins)>,
}

/// What an owner decided for all agents of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRoute {
    /// The account.
    pub id: AccountId,
    /// Whether what is said in calls is kept with them.
    pub keep_payloads: bool,
    /// How many calls may be made in a day (UTC); `None` is as many as anybody likes.
    pub calls_per_day: Option<NonZeroU32>,
}

/// An agent and what it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRoute {
    /// Its id; part of its endpoint's address.
    pub id: AgentId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Its name, shown to clients as the server's title.
    pub name: String,
    /// Its description, shown to clients as instructions when not empty.
    pub description: String,
    /// Whether it sees two tools, `find_tool` and `call_tool`, in place of all (AGT-11).
    pub search: bool,
    /// How many calls it may make in a day (UTC); `None` is as many as it likes.
    pub calls_per_day: Option<NonZeroU32>,
    /// Enabled links only, by the time of activation: where two offer the same thing, the first
    /// one keeps it.
    pub links: Vec<LinkRoute>,
}

/// A link that is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRoute {
    /// Its id.
    pub id: LinkId,
    /// Where it leads.
    pub instance_id: InstanceId,
    /// What it lets through. Its `always_prefix` and `renamed_tools` count when a name is first
    /// assigned: whoever changes them clears `exposed_names`.
    pub policy: LinkPolicy,
    /// The names under which things were first shown, see [`crate::names`].
    pub exposed_names: std::collections::BTreeMap<String, String>,
    /// Which secrets of its own it carries (AGT-6): another text, of what a header can hold, whenever
    /// one is another or has another value; sessions end with it. `None`: the server sees the
    /// instance's own.
    pub credentials: Option<String>,
}

/// Whose secrets a connection with a server is opened with, where not the instance's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkCredentials {
    /// The link that carries them.
    pub link: LinkId,
    /// Which they are: [`LinkRoute::credentials`].
    pub revision: String,
}

/// A token that opens an agent's endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRoute {
    /// The SHA-256 of the token.
    pub hash: TokenHash,
    /// The agent that it speaks for.
    pub agent_id: AgentId,
    /// When it ends by itself; checked at every call.
    pub expires_at: Option<DateTime<Utc>>,
    /// Of a browser login: what its sessions are bound to in place of this token, so that they go on
    /// with the next one. Such a token opens the agent's own endpoint and no instance's.
    pub login: Option<TokenHash>,
}

impl TokenRoute {
    /// What sessions are bound to.
    pub(crate) fn credential(&self) -> TokenHash {
        self.login.unwrap_or(self.hash)
    }
}

/// An instance as an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRoute {
    /// Its id.
    pub id: InstanceId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Its friendly name, for messages and failure reports.
    pub name: String,
    /// What names are prefixed with (`slug__tool`): from its name, `[A-Za-z0-9_.-]`.
    pub slug: String,
    /// Where it is.
    pub location: UpstreamLocation,
    /// Changes whenever its server was started anew or replaced (generation, restart, container):
    /// sessions and the known era end with it. Any text that differs will do.
    pub epoch: String,
    /// Whether it sleeps while nobody uses it (TOOL-9).
    pub rest: Rest,
    /// Whether it is worth trying: `Err` with the reason (for people) if it is known not to run.
    pub available: Result<(), String>,
    /// `None` in a snapshot. The gateway sets it where it goes there for an agent whose link carries
    /// secrets of its own; the epoch is then one that no others share.
    pub credentials: Option<LinkCredentials>,
}

impl InstanceRoute {
    /// What is learnt of a server is learnt of it with these credentials.
    pub(crate) fn seen_with(&self) -> (InstanceId, Option<LinkId>) {
        let link = self.credentials.as_ref().map(|own| own.link);
        (self.id, link)
    }

    /// The same server as somebody sees it whose link carries secrets of its own.
    fn with(&self, credentials: LinkCredentials) -> Self {
        Self {
            epoch: format!(
                "{} {} {}",
                self.epoch, credentials.link, credentials.revision
            ),
            credentials: Some(credentials),
            ..self.clone()
        }
    }
}

/// Whether an instance sleeps while nobody uses it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rest {
    /// It never sleeps.
    #[default]
    Never,
    /// It will sleep some time, and runs now.
    Awake,
    /// It will sleep some time, and is being started.
    Starting,
    /// It sleeps: a call wakes it. Its epoch counts for nothing until it is awake.
    Asleep,
}

/// Where an instance is reached. Only the connector looks inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamLocation {
    /// Behind the DTMA of this machine.
    Machine(EnvironmentId),
    /// The same, in the instance's second place there (an upgrade moved it).
    MachineSecond(EnvironmentId),
    /// At an address of its own.
    Url(Url),
}

impl UpstreamLocation {
    /// For messages about upstreams that can't be reached.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Machine(_) | Self::MachineSecond(_) => "machine",
            Self::Url(_) => "url",
        }
    }
}

/// The snapshot, indexed.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    pub(crate) agents: HashMap<AgentId, Arc<AgentRoute>>,
    pub(crate) tokens: HashMap<TokenHash, TokenRoute>,
    pub(crate) instances: HashMap<InstanceId, Arc<InstanceRoute>>,
    pub(crate) accounts: HashMap<AccountId, AccountRoute>,
    pub(crate) pins: HashMap<InstanceId, Arc<Pins>>,
}

impl Routes {
    /// Whether what is said in an account's calls is kept.
    pub(crate) fn keeps_payloads(&self, account: AccountId) -> bool {
        let account = self.accounts.get(&account);
        account.is_some_and(|account| account.keep_payloads)
    }

    /// How many calls an account may make in a day.
    pub(crate) fn quota_of(&self, account: AccountId) -> Quota<AccountId> {
        Quota {
            who: account,
            limit: self.accounts.get(&account).and_then(|it| it.calls_per_day),
        }
    }

    /// The agent's link to `instance`, if it has one.
    pub(crate) fn link_to(&self, agent: AgentId, instance: InstanceId) -> Option<&LinkRoute> {
        let links = &self.agents.get(&agent)?.links;
        links.iter().find(|link| link.instance_id == instance)
    }

    /// `route` as an agent goes there: with the secrets that its link carries, or as it is. `None`
    /// without a link: then with nobody's.
    pub(crate) fn for_agent(
        &self,
        agent: AgentId,
        route: &Arc<InstanceRoute>,
    ) -> Option<Arc<InstanceRoute>> {
        let link = self.link_to(agent, route.id)?;
        Some(match &link.credentials {
            None => route.clone(),
            Some(revision) => Arc::new(route.with(LinkCredentials {
                link: link.id,
                revision: revision.clone(),
            })),
        })
    }

    /// Whether the agent may speak to `instance` at its own endpoint. Messages pass there as they
    /// are, so a link that lets only some tools through opens the agent's endpoint alone, and so does an
    /// instance whose new tools are held back.
    pub(crate) fn is_open(&self, agent: AgentId, instance: InstanceId) -> bool {
        self.link_to(agent, instance)
            .is_some_and(|link| link.policy.allowed_tools.is_none())
            && !self.pins.get(&instance).is_some_and(|pins| pins.hold)
    }
}

/// The current routes; cheap to read from any task, never locked.
#[derive(Debug, Default)]
pub struct RouteTable {
    current: ArcSwap<Routes>,
    /// How often they changed.
    changed: watch::Sender<u64>,
}

impl RouteTable {
    /// The current routes, to keep for a while.
    pub(crate) fn load_full(&self) -> Arc<Routes> {
        self.current.load_full()
    }

    /// Looks at the current routes. Don't hold the guard across an await.
    pub(crate) fn load(&self) -> Guard<Arc<Routes>> {
        self.current.load()
    }

    /// What `route` has become since; itself if it is no longer there.
    pub(crate) fn now(&self, route: &Arc<InstanceRoute>) -> Arc<InstanceRoute> {
        let current = self.load();
        current.instances.get(&route.id).unwrap_or(route).clone()
    }

    /// The current route of an instance, if there is one.
    pub(crate) fn get(&self, instance: InstanceId) -> Option<Arc<InstanceRoute>> {
        self.load().instances.get(&instance).cloned()
    }

    /// Changes whenever the routes do.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Puts `snapshot` in the place of what was there and says what that changed. Callers must not
    /// run concurrently (the gateway serialises them).
    pub(crate) fn replace(&self, snapshot: Snapshot) -> RouteChanges {
        let before = self.current.load_full();
        let after = Arc::new(index(snapshot, &before));
        let changes = diff::between(&before, &after);
        if !changes.is_empty() {
            self.current.store(after);
            self.changed.send_modify(|count| *count += 1);
        }
        changes
    }
}

fn index(snapshot: Snapshot, before: &Routes) -> Routes {
    Routes {
        pins: snapshot
            .pins
            .into_iter()
            .map(|(id, pins)| (id, keep(before.pins.get(&id), pins)))
            .collect(),
        accounts: snapshot
            .accounts
            .into_iter()
            .map(|account| (account.id, account))
            .collect(),
        agents: snapshot
            .agents
            .into_iter()
            .map(|agent| (agent.id, keep(before.agents.get(&agent.id), agent)))
            .collect(),
        tokens: snapshot
            .tokens
            .into_iter()
            .map(|token| (token.hash, token))
            .collect(),
        instances: snapshot
            .instances
            .into_iter()
            .map(|instance| {
                (
                    instance.id,
                    keep(before.instances.get(&instance.id), instance),
                )
            })
            .collect(),
    }
}

/// The old allocation if it says the same.
fn keep<T: PartialEq>(old: Option<&Arc<T>>, new: T) -> Arc<T> {
    match old {
        Some(old) if **old == new => old.clone(),
        _ => Arc::new(new),
    }
}
