//! What is kept for each client: a session-era session, or, for modern clients, one context for
//! each credential and set of capabilities (rule 13), so that their upstream sessions survive from
//! call to call.
//!
//! Nothing here is ever shared between two principals (AGT-6). `seal` makes session ids, `outbox`
//! and `listeners` carry what belongs to no request, `connections` are the streams of HTTP+SSE,
//! `registry` is all of them,
//! `reaper` ends what nobody uses.

pub(crate) mod connections;
pub(crate) mod listeners;
pub(crate) mod origins;
pub(crate) mod outbox;
pub(crate) mod reaper;
mod registry;
pub(crate) mod seal;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use agentopia_domain::{AgentId, InstanceId};
use agentopia_mcp::{Era, Id, Json, ListKind, ProtocolVersion, jsonrpc};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::origins::Origins;
use crate::core::Core;
use crate::principal::Principal;
use crate::relay::resumable::Streams;
use crate::upstream::{Upstream, changed_method};
use listeners::Listeners;
use outbox::Outbox;
use seal::SessionKey;

pub(crate) use registry::{Clients, TooManySessions};

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
        patience: impl Fn(InstanceId) -> bool,
    ) {
        let mut stale = self.upstreams();
        stale.retain(|upstream| which(upstream.instance));
        self.forget_what_they_asked(&stale);
        for upstream in stale {
            upstream.renew(core, self, patience(upstream.instance));
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
