//! What is kept for each client: a session-era session, or, for modern clients, one context for
//! each credential and set of capabilities (rule 13), so that their upstream sessions survive from
//! call to call.
//!
//! Nothing here is ever shared between two principals (AGT-6). `seal` makes session ids, `outbox`
//! and `listeners` carry what belongs to no request, `connections` are the streams of HTTP+SSE,
//! `reaper` ends what nobody uses.

pub(crate) mod connections;
pub(crate) mod listeners;
pub(crate) mod origins;
pub(crate) mod outbox;
pub(crate) mod reaper;
pub(crate) mod seal;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use agentopia_domain::{AgentId, InstanceId};
use agentopia_mcp::{Era, Id, Json, ListKind, ProtocolVersion, jsonrpc};
use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::Mutex;
use secrecy::SecretBox;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::origins::Origins;
use crate::Counts;
use crate::core::Core;
use crate::principal::Principal;
use crate::relay::resumable::Streams;
use crate::upstream::{Upstream, changed_method};
use connections::{Connection, Connections};
use listeners::Listeners;
use outbox::Outbox;
use seal::{Sealer, SessionKey};

/// Requests of servers that one client may have open.
const MAX_ASKED: usize = 1_000;

/// What servers may ask their clients, and the capability that clients declare for it.
const QUESTIONS: [(&str, &str); 3] = [
    ("elicitation/create", "elicitation"),
    ("sampling/createMessage", "sampling"),
    ("roots/list", "roots"),
];

/// The endpoint that a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// All of an agent's servers as one.
    Agent(AgentId),
    /// One server, as it is.
    Instance(InstanceId),
}

/// What a client said about itself.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    /// How it talks.
    pub(crate) era: Era,
    /// The revision agreed on.
    pub(crate) version: ProtocolVersion,
    /// The capabilities object, verbatim.
    pub(crate) capabilities: Bytes,
    /// `clientInfo`, verbatim.
    pub(crate) info: Bytes,
    /// Whether it can take up a stream again whose connection broke.
    pub(crate) resumes: bool,
    /// The whole `initialize` request of a session-era client.
    pub(crate) initialize: Option<Bytes>,
}

/// What a client is found by.
#[derive(Debug)]
enum Key {
    /// The id of its session.
    Session(Arc<str>),
    /// What its requests say about it.
    Modern(SessionKey),
}

/// Everything kept for one client.
#[derive(Debug)]
pub(crate) struct Client {
    key: Key,
    pub(crate) principal: Principal,
    pub(crate) target: Target,
    pub(crate) hello: Hello,
    /// Tells stdio processes of different clients apart (the DTMA's session key).
    pub(crate) isolation: String,
    upstreams: Mutex<HashMap<InstanceId, Arc<Upstream>>>,
    /// Which upstream offered a resource, as last listed (rule 8).
    pub(crate) origins: Mutex<Origins>,
    /// Calls in flight by the client's own ids (session era only), for notifications/cancelled.
    /// Each with our number of it: a call can be made again under the same id.
    pub(crate) calls: Mutex<HashMap<Id, (u64, CancellationToken)>>,
    /// Requests that upstreams made and that the client has yet to answer.
    pub(crate) asked: Mutex<HashMap<u64, Asked>>,
    next_asked: AtomicU64,
    /// As set by logging/setLevel, verbatim.
    pub(crate) log_level: Mutex<Option<Bytes>>,
    pub(crate) outbox: Outbox,
    /// Its answers that are streams.
    pub(crate) streams: Streams,
    pub(crate) listeners: Listeners,
    outbox_capacity: usize,
    /// Requests being worked on.
    pub(crate) busy: AtomicUsize,
    last_used: AtomicI64,
    pub(crate) ended: CancellationToken,
}

/// A request of an upstream to the client.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) instance: InstanceId,
    pub(crate) by: AskedBy,
}

/// How it was made, and so where its answer goes.
#[derive(Debug, Clone)]
pub(crate) enum AskedBy {
    /// By a message of a session-era server.
    Message {
        upstream: Arc<Upstream>,
        /// The server's own id.
        id: Id,
        /// The server's own progress token.
        progress: Option<Id>,
    },
    /// In a result of a modern one: to the call that waits for it, with our id.
    Result(mpsc::UnboundedSender<(u64, Bytes)>),
}

impl Client {
    pub(crate) fn touch(&self, core: &Core) {
        self.last_used.store(core.now_seconds(), Ordering::Relaxed);
    }

    /// The agent that it acts as: its links say what it may use, and with whose secrets.
    pub(crate) const fn agent(&self) -> Option<AgentId> {
        match self.target {
            Target::Agent(agent) => Some(agent),
            Target::Instance(_) => self.principal.agent_id(),
        }
    }

    /// Whether nothing happened since `before` (seconds) and nothing is going on.
    pub(crate) fn is_idle_since(&self, before: i64) -> bool {
        self.last_used.load(Ordering::Relaxed) <= before
            && self.busy.load(Ordering::Relaxed) == 0
            && !self.is_attached()
    }

    /// Whether the client has a standing stream.
    pub(crate) fn is_attached(&self) -> bool {
        self.outbox.is_open() || !self.listeners.is_empty()
    }

    /// The client's connection with an instance, made on first use.
    pub(crate) fn upstream(&self, instance: InstanceId) -> Arc<Upstream> {
        self.upstreams
            .lock()
            .entry(instance)
            .or_insert_with(|| Arc::new(Upstream::new(instance)))
            .clone()
    }

    /// Those that exist.
    pub(crate) fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.upstreams.lock().values().cloned().collect()
    }

    /// Ends the connections with the instances that `which` says, for good.
    pub(crate) fn drop_upstreams(
        self: &Arc<Self>,
        core: &Arc<Core>,
        which: impl Fn(InstanceId) -> bool,
    ) {
        let dropped: Vec<_> = {
            let mut upstreams = self.upstreams.lock();
            upstreams
                .extract_if(|instance, _| which(*instance))
                .map(|(_, u)| u)
                .collect()
        };
        self.forget_what_they_asked(&dropped);
        for upstream in dropped {
            upstream.close(core, self);
        }
    }

    /// Begins the connections anew with instances that were started anew: calls that are under way
    /// there go on with the new connection as soon as they learn that the old one is lost.
    pub(crate) fn renew_upstreams(
        self: &Arc<Self>,
        core: &Arc<Core>,
        which: impl Fn(InstanceId) -> bool,
    ) {
        let mut stale = self.upstreams();
        stale.retain(|upstream| which(upstream.instance));
        self.forget_what_they_asked(&stale);
        for upstream in stale {
            upstream.renew(core, self);
        }
    }

    /// Lets go of the connections with instances that went to sleep. Their machine ends what was
    /// open; a call that is under way there all the same keeps what it has.
    pub(crate) fn rest_upstreams(&self, which: impl Fn(InstanceId) -> bool) {
        for upstream in self.upstreams() {
            if which(upstream.instance) {
                upstream.rest();
            }
        }
    }

    fn forget_what_they_asked(&self, upstreams: &[Arc<Upstream>]) {
        if upstreams.is_empty() {
            return;
        }
        let gone: HashSet<_> = upstreams.iter().map(|u| u.instance).collect();
        self.origins.lock().forget(&gone);
        self.asked
            .lock()
            .retain(|_, asked| !gone.contains(&asked.instance));
    }

    /// Has every live upstream listened to, as soon as the client has a stream to hear it on.
    pub(crate) fn listen_upstream(self: &Arc<Self>, core: &Arc<Core>) {
        if self.is_attached() {
            for upstream in self.upstreams() {
                upstream.listen(core, self);
            }
        }
    }

    /// Gives out an id for a request to the client and remembers whose it is. `None` if the client
    /// has more questions open than anyone could want to answer.
    pub(crate) fn ask(&self, asked: Asked) -> Option<u64> {
        let mut open = self.asked.lock();
        if open.len() >= MAX_ASKED {
            return None;
        }
        let id = self.next_asked.fetch_add(1, Ordering::Relaxed) + 1;
        open.insert(id, asked);
        Some(id)
    }

    /// A message for the standing stream of a session-era client.
    pub(crate) fn push(&self, message: Bytes) {
        self.outbox.push(message, self.outbox_capacity);
    }

    /// Tells the client that a list changed.
    pub(crate) fn changed(&self, kind: ListKind) {
        match self.hello.era {
            Era::Session => self.push(jsonrpc::notification(changed_method(kind), None).into()),
            Era::Modern => self.listeners.changed(kind),
        }
    }

    /// Tells the client to list everything again.
    pub(crate) fn everything_changed(&self) {
        for kind in [ListKind::Tools, ListKind::Resources, ListKind::Prompts] {
            self.changed(kind);
        }
    }

    pub(crate) fn capabilities(&self) -> Json<'_> {
        // Was checked when it came in; anything else counts as none.
        Json::parse(&self.hello.capabilities).unwrap_or_else(|_| empty_object())
    }

    /// Whether the client declared that it can answer a server's request with this method.
    pub(crate) fn can_answer(&self, method: &str) -> bool {
        let known = QUESTIONS.iter().find(|(known, _)| *known == method);
        known.is_some_and(|(_, capability)| self.capabilities().get(capability).is_some())
    }

    pub(crate) fn info(&self) -> Json<'_> {
        Json::parse(&self.hello.info).unwrap_or_else(|_| empty_object())
    }
}

/// `{}`.
pub(crate) fn empty_object<'a>() -> Json<'a> {
    agentopia_mcp::ObjectWriter::new().finish()
}

/// All clients.
pub(crate) struct Clients {
    sealer: Sealer,
    /// By their ids as clients show them: what was sealed here need not be opened again.
    sessions: DashMap<Arc<str>, Arc<Client>>,
    /// How many sessions each principal's owner has.
    owners: DashMap<Uuid, usize>,
    modern: DashMap<SessionKey, Arc<Client>>,
    connections: Connections,
}

/// There are too many sessions of this principal, and all are in use.
#[derive(Debug)]
pub(crate) struct TooManySessions;

impl Clients {
    pub(crate) fn new(seal_key: &SecretBox<[u8; 32]>) -> Self {
        Self {
            sealer: Sealer::new(seal_key),
            sessions: DashMap::new(),
            owners: DashMap::new(),
            modern: DashMap::new(),
            connections: Connections::default(),
        }
    }

    /// Opens a session and gives its id. At the limit the principal's longest unused one makes
    /// room: most clients never say goodbye.
    pub(crate) fn open_session(
        &self,
        core: &Arc<Core>,
        principal: Principal,
        target: Target,
        hello: Hello,
    ) -> Result<(String, Arc<Client>), TooManySessions> {
        let owner = principal.owner_key();
        let count = self.owners.get(&owner).map_or(0, |count| *count);
        if count >= core.config.max_sessions_per_principal {
            let unused = self.longest_unused(owner).ok_or(TooManySessions)?;
            self.end(core, &unused);
        }
        let key = core.ambient.random();
        let id = self
            .sealer
            .seal(key, &principal, target, &core.ambient)
            .ok_or(TooManySessions)?;
        let shared = Arc::<str>::from(id.as_str());
        let found_by = Key::Session(shared.clone());
        let client = new_client(core, found_by, hex::encode(key), principal, target, hello);
        *self.owners.entry(owner).or_default() += 1;
        self.sessions.insert(shared, client.clone());
        Ok((id, client))
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    fn longest_unused(&self, owner: Uuid) -> Option<Arc<Client>> {
        self.sessions
            .iter()
            .filter(|s| s.principal.owner_key() == owner && s.is_idle_since(i64::MAX))
            .min_by_key(|session| session.last_used.load(Ordering::Relaxed))
            .map(|session| session.clone())
    }

    /// The session with this id, if it is this principal's.
    pub(crate) fn session(
        &self,
        id: &str,
        principal: &Principal,
        target: Target,
    ) -> Option<Arc<Client>> {
        let client = self.sessions.get(id)?;
        (client.principal == *principal && client.target == target).then(|| client.clone())
    }

    /// Opens a connection of HTTP+SSE: its id, and what its stream is to carry.
    pub(crate) fn connect(
        &self,
        core: &Core,
        principal: &Principal,
        target: Target,
    ) -> Result<(String, Arc<Connection>, mpsc::Receiver<Bytes>), TooManySessions> {
        let most = core.config.max_sessions_per_principal;
        let whose = (principal, target);
        self.connections
            .open(&self.sealer, &core.ambient, whose, most)
    }

    /// The connection with this id, if it is this principal's.
    pub(crate) fn connection(
        &self,
        id: &str,
        principal: &Principal,
        target: Target,
    ) -> Option<Arc<Connection>> {
        let key = self.sealer.open(id, principal, target)?;
        self.connections.find(key)
    }

    /// The stream of a connection is gone.
    pub(crate) fn disconnect(&self, connection: &Connection) {
        self.connections.close(connection);
    }

    /// The context of a modern client.
    pub(crate) fn modern(
        &self,
        core: &Arc<Core>,
        principal: Principal,
        target: Target,
        capabilities: &[u8],
        hello: impl FnOnce() -> Hello,
    ) -> Arc<Client> {
        let key = modern_key(&principal, target, capabilities);
        if let Some(client) = self.modern.get(&key) {
            client.touch(core);
            return client.clone();
        }
        self.modern
            .entry(key)
            .or_insert_with(|| {
                let found_by = Key::Modern(key);
                new_client(core, found_by, hex::encode(key), principal, target, hello())
            })
            .clone()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        let sessions = self.sessions.iter().map(|c| c.clone());
        sessions
            .chain(self.modern.iter().map(|c| c.clone()))
            .collect()
    }

    /// Ends a client: its streams, its calls, its upstream sessions.
    pub(crate) fn end(&self, core: &Arc<Core>, client: &Arc<Client>) {
        match &client.key {
            Key::Session(id) => {
                if self.sessions.remove(id).is_some() {
                    self.one_less(client.principal.owner_key());
                }
            }
            Key::Modern(key) => drop(self.modern.remove(key)),
        }
        client.ended.cancel();
        client.listeners.clear();
        client.streams.clear();
        client.drop_upstreams(core, |_| true);
    }

    fn one_less(&self, owner: Uuid) {
        if let Some(mut count) = self.owners.get_mut(&owner) {
            *count = count.saturating_sub(1);
        }
        self.owners.remove_if(&owner, |_, count| *count == 0);
    }

    pub(crate) fn counts(&self) -> Counts {
        let all = self.all();
        Counts {
            sessions: self.sessions.len(),
            modern_clients: self.modern.len(),
            upstreams: all
                .iter()
                .map(|c| c.upstreams().iter().filter(|u| u.is_live()).count())
                .sum(),
        }
    }
}

fn new_client(
    core: &Core,
    key: Key,
    isolation: String,
    principal: Principal,
    target: Target,
    hello: Hello,
) -> Arc<Client> {
    Arc::new(Client {
        key,
        principal,
        target,
        hello,
        isolation,
        upstreams: Mutex::default(),
        origins: Mutex::default(),
        calls: Mutex::default(),
        asked: Mutex::default(),
        next_asked: AtomicU64::new(0),
        log_level: Mutex::default(),
        outbox: Outbox::default(),
        streams: Streams::default(),
        listeners: Listeners::default(),
        outbox_capacity: core.config.outbox_messages,
        busy: AtomicUsize::new(0),
        last_used: AtomicI64::new(core.now_seconds()),
        ended: CancellationToken::new(),
    })
}

fn modern_key(principal: &Principal, target: Target, capabilities: &[u8]) -> SessionKey {
    let mut hash = Sha256::new();
    let (kind, id) = match target {
        Target::Agent(id) => (b"a", id.as_uuid()),
        Target::Instance(id) => (b"i", id.as_uuid()),
    };
    hash.update(kind);
    hash.update(id.as_bytes());
    hash.update(principal.owner_key().as_bytes());
    hash.update(principal.credential().to_hex());
    hash.update(capabilities);
    let mut key = SessionKey::default();
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}
