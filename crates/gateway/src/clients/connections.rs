//! Connections of HTTP+SSE, the transport of 2024-11-05: each is one event stream for everything that
//! goes to the client, with an id that its client posts to. Its session begins with `initialize` and
//! ends with the stream.

use std::sync::{Arc, OnceLock};

use agentopia_domain::Ambient;
use bytes::Bytes;
use dashmap::DashMap;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::seal::{Sealer, SessionKey};
use super::{Client, Target, TooManySessions};
use crate::principal::Principal;

/// Messages that may wait for a stream that is read too slowly; who has more to say waits as well.
const BACKLOG: usize = 64;
/// Messages of one client that may be worked on at a time: unlike elsewhere, none of them holds an
/// HTTP request open.
const IN_FLIGHT: u32 = 256;

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Connection {
    key: SessionKey,
    owner: Uuid,
    /// Its session, once it is initialised.
    pub(crate) client: OnceLock<Arc<Client>>,
    /// What goes to the client.
    pub(crate) outgoing: mpsc::Sender<Bytes>,
    /// One permit for each message that is worked on.
    pub(crate) in_flight: Arc<Semaphore>,
    /// Its stream is gone.
    pub(crate) ended: CancellationToken,
}

impl Connection {
    /// Returns when none of its messages is worked on any more.
    pub(crate) async fn calls_over(&self) {
        // Fails only where the semaphore is closed, which nobody does.
        let _all = self.in_flight.acquire_many(IN_FLIGHT).await;
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Connections(DashMap<SessionKey, Arc<Connection>>);

impl Connections {
    /// Makes one and gives its id and what its stream reads.
    pub(super) fn open(
        &self,
        sealer: &Sealer,
        ambient: &Ambient,
        (principal, target): (&Principal, Target),
        most: usize,
    ) -> Result<(String, Arc<Connection>, mpsc::Receiver<Bytes>), TooManySessions> {
        let owner = principal.owner_key();
        let open = self.0.iter().filter(|each| each.owner == owner).count();
        if open >= most {
            return Err(TooManySessions);
        }
        let key = ambient.random();
        let id = sealer
            .seal(key, principal, target, ambient)
            .ok_or(TooManySessions)?;
        let (outgoing, messages) = mpsc::channel(BACKLOG);
        let connection = Arc::new(Connection {
            key,
            owner,
            client: OnceLock::new(),
            outgoing,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT as usize)),
            ended: CancellationToken::new(),
        });
        self.0.insert(key, connection.clone());
        Ok((id, connection, messages))
    }

    pub(super) fn find(&self, key: SessionKey) -> Option<Arc<Connection>> {
        self.0.get(&key).map(|connection| connection.clone())
    }

    /// Its stream is gone.
    pub(crate) fn close(&self, connection: &Connection) {
        self.0.remove(&connection.key);
        connection.ended.cancel();
    }
}
