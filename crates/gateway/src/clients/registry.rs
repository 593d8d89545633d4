//! All clients: how they are made, found, counted and ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::Mutex;
use secrecy::SecretBox;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::connections::{Connection, Connections};
use super::listeners::Listeners;
use super::outbox::Outbox;
use super::seal::{Sealer, SessionKey};
use super::{Client, Hello, Key, Target};
use crate::Counts;
use crate::core::Core;
use crate::principal::Principal;
use crate::relay::resumable::Streams;

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
