//! What all parts of the gateway share, and what happens when routes change.

use std::sync::Arc;

use agentopia_domain::{Ambient, InstanceId};
use agentopia_mcp::Limits as MessageLimits;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::GatewayParts;
use crate::aggregate::names::NameTables;
use crate::audit::AuditQueue;
use crate::clients::{Clients, Target};
use crate::config::GatewayConfig;
use crate::limits::Limits;
use crate::names::NameBook;
use crate::pins::Compared;
use crate::principal::{Principal, PrincipalAuthoriser};
use crate::quotas::Quotas;
use crate::relay::suspended::Suspended;
use crate::relay::trace::NewTraces;
use crate::routes::{Rest, RouteTable, Snapshot};
use crate::sleepers::Waker;
use crate::sleepers::kept::KeptLists;
use crate::sleepers::uses::Uses;
use crate::sleepers::wakes::Wakes;
use crate::upstream::breaker::Breakers;
use crate::upstream::connector::UpstreamConnector;
use crate::upstream::era::EraBook;
use crate::upstream::shelf::Shelf;

/// The shared inside of a [`crate::Gateway`].
pub(crate) struct Core {
    pub(crate) config: GatewayConfig,
    pub(crate) ambient: Ambient,
    pub(crate) routes: RouteTable,
    pub(crate) connector: Arc<dyn UpstreamConnector>,
    pub(crate) name_book: Arc<dyn NameBook>,
    pub(crate) authoriser: Arc<dyn PrincipalAuthoriser>,
    pub(crate) waker: Arc<dyn Waker>,
    pub(crate) uses: Uses,
    pub(crate) wakes: Wakes,
    pub(crate) kept: KeptLists,
    pub(crate) compared: Compared,
    pub(crate) limits: Limits,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) audit: AuditQueue,
    pub(crate) eras: EraBook,
    pub(crate) breakers: Breakers,
    pub(crate) shelf: Shelf,
    pub(crate) names: NameTables,
    pub(crate) clients: Clients,
    pub(crate) suspended: Suspended,
    pub(crate) traces: NewTraces,
    /// Farewells to upstreams (cancellations, DELETEs): short tasks that a shutdown waits for.
    pub(crate) farewells: TaskTracker,
    /// Ends what runs beside the calls.
    pub(crate) stopped: CancellationToken,
    /// One replacement at a time.
    replacing: Mutex<()>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(parts: GatewayParts) -> Arc<Self> {
        let quotas = Arc::new(Quotas::default());
        let audit = AuditQueue::start(parts.audit, parts.config.audit_queue, quotas.clone());
        Arc::new(Self {
            clients: Clients::new(&parts.seal_key),
            suspended: Suspended::default(),
            limits: Limits::new(parts.config.calls),
            quotas,
            config: parts.config,
            traces: NewTraces::new(&parts.ambient),
            ambient: parts.ambient,
            routes: RouteTable::default(),
            connector: parts.connector,
            name_book: parts.name_book,
            authoriser: parts.authoriser,
            waker: parts.waker,
            uses: Uses::default(),
            wakes: Wakes::default(),
            kept: KeptLists::default(),
            compared: Compared::default(),
            audit,
            eras: EraBook::default(),
            breakers: Breakers::default(),
            shelf: Shelf::default(),
            names: NameTables::default(),
            farewells: TaskTracker::new(),
            stopped: CancellationToken::new(),
            replacing: Mutex::new(()),
        })
    }

    /// Limits for messages of upstreams.
    pub(crate) fn upstream_limits(&self) -> MessageLimits {
        MessageLimits {
            max_bytes: self.config.max_upstream_message_bytes,
            ..MessageLimits::default()
        }
    }

    /// Seconds since the epoch, for "last used".
    pub(crate) fn now_seconds(&self) -> i64 {
        self.ambient.now().timestamp()
    }

    pub(crate) fn replace(self: &Arc<Self>, snapshot: Snapshot) {
        let _one_at_a_time = self.replacing.lock();
        let today = self.ambient.now().date_naive();
        self.quotas.learn(&snapshot.calls_today, today);
        let changes = self.routes.replace(snapshot);
        if changes.is_empty() {
            return;
        }
        for agent in &changes.removed_agents {
            self.names.forget(*agent);
        }
        for instance in &changes.stale_instances {
            self.eras.forget(*instance);
            self.breakers.forget(*instance);
            self.shelf.forget(*instance);
        }
        let routes = self.routes.load();
        let route = |instance| routes.instances.get(&instance);
        for instance in &changes.stale_instances {
            if route(*instance).is_none() {
                self.uses.forget(*instance);
            }
        }
        self.kept.forget(&changes.other_credentials);
        self.kept
            .retain(|instance| route(instance).is_some_and(|route| route.rest != Rest::Never));
        for instance in &changes.fell_asleep {
            if self.uses.is_open(*instance) {
                // Whoever put it to sleep did not know of this call yet.
                self.wakes.begin(self, *instance);
            }
        }
        for client in self.clients.all() {
            if !changes.fell_asleep.is_empty() {
                client.rest_upstreams(|instance| changes.fell_asleep.contains(&instance));
            }
            let lost_its_link = match (client.target, client.principal) {
                (Target::Instance(instance), Principal::Agent { agent_id, .. }) => {
                    !routes.is_open(agent_id, instance)
                }
                (Target::Instance(instance), Principal::Person(_)) => {
                    !routes.instances.contains_key(&instance)
                }
                (Target::Agent(agent), _) => changes.removed_agents.contains(&agent),
            };
            if lost_its_link
                || changes
                    .removed_tokens
                    .contains(&client.principal.credential())
            {
                self.clients.end(self, &client);
                continue;
            }
            let relinked = |instance| {
                let agent = client.agent();
                agent.is_some_and(|agent| changes.other_credentials.contains(&(agent, instance)))
            };
            let stale = |instance: InstanceId| {
                changes.stale_instances.contains(&instance) || relinked(instance)
            };
            let concerned = match client.target {
                Target::Agent(agent) => changes.changed_agents.contains(&agent),
                Target::Instance(instance) => stale(instance),
            };
            if concerned {
                let still_linked = |instance| match client.target {
                    Target::Agent(agent) => routes.link_to(agent, instance).is_some(),
                    Target::Instance(own) => own == instance,
                };
                client.drop_upstreams(self, |instance| !still_linked(instance));
                // Calls get their answers, unless their secrets are no longer to be used.
                client.renew_upstreams(self, stale, |instance| !relinked(instance));
                client.everything_changed();
                client.listen_upstream(self);
            }
        }
    }

    /// Tells of the use of instances until the end.
    pub(crate) fn tell_uses(self: &Arc<Self>) {
        let core = self.clone();
        self.farewells.spawn(async move {
            let stopped = core.stopped.clone();
            let interval = core.config.use_interval;
            core.uses.tell(&*core.waker, interval, stopped).await;
        });
    }

    pub(crate) fn expire_idle(self: &Arc<Self>) {
        self.limits.tidy();
        let idle = i64::try_from(self.config.session_idle.as_secs()).unwrap_or(i64::MAX);
        let before = self.now_seconds().saturating_sub(idle);
        for client in self.clients.all() {
            if client.is_idle_since(before) {
                self.clients.end(self, &client);
            } else {
                client.streams.expire(self.now_seconds());
            }
        }
    }

    pub(crate) async fn shutdown(self: &Arc<Self>) {
        self.stopped.cancel();
        for client in self.clients.all() {
            self.clients.end(self, &client);
        }
        self.farewells.close();
        let patience = std::time::Duration::from_secs(2);
        if tokio::time::timeout(patience, self.farewells.wait())
            .await
            .is_err()
        {
            tracing::debug!("some upstreams did not take their farewell in time");
        }
        self.audit.flush().await;
    }
}
