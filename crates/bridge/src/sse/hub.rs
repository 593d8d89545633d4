//! A Streamable HTTP endpoint in front of HTTP+SSE servers: `initialize` opens a session, which is a
//! stream of the server's; messages with its `Mcp-Session-Id` go there. These servers know nothing of the
//! modern era: its requests are refused, and the gateway translates.
//!
//! Sessions have the limits of those of stdio servers: so many for each instance, the idlest makes room,
//! and one that nobody used for long is closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use agentopia_domain::{Ambient, InstanceId};
use agentopia_mcp::Envelope;
use axum::response::Response;
use bytes::Bytes;
use dashmap::DashMap;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::{OpenError, Server, StreamLimits, open};
use crate::front;
use crate::pipe::{Pipe, PipeConfig};
use crate::refusal;
use crate::routes::Mode;

/// How long a session that is closed to make room may take.
const EVICTION: Duration = Duration::from_secs(2);
/// How often idle sessions are looked for, at least.
const SWEEP: Duration = Duration::from_secs(10);
/// The one client of a session.
const CLIENT: u64 = 1;

/// Limits of a hub.
#[derive(Debug, Clone, Copy)]
pub struct HubConfig {
    /// Sessions that nobody used for so long are closed.
    pub idle: Duration,
    /// Sessions of one instance at a time.
    pub most_sessions: usize,
    /// A session that had nothing to do for so long may be closed when another is wanted and
    /// `most_sessions` is reached.
    pub evict_after: Duration,
    /// How long a server may take to take a message.
    pub input_patience: Duration,
    /// How long a client may leave its stream unread before its request is cancelled.
    pub client_patience: Duration,
    /// What a server may take.
    pub stream: StreamLimits,
}

/// Whose session it is to be.
#[derive(Debug)]
pub struct Opener {
    /// The instance.
    pub instance: InstanceId,
    /// Its start: sessions of another one are over.
    pub epoch: String,
    /// How to reach its server.
    pub server: Arc<dyn Server>,
}

#[derive(Debug)]
struct Session {
    id: String,
    instance: InstanceId,
    epoch: String,
    pipe: Arc<Pipe>,
    /// Its client knows its name.
    claimed: AtomicBool,
    last_used: Mutex<Instant>,
}

impl Session {
    fn idle(&self) -> Option<Duration> {
        self.pipe.idle().map(|_| self.last_used.lock().elapsed())
    }
}

/// See the module's header.
#[derive(Debug)]
pub struct Hub {
    config: HubConfig,
    ambient: Ambient,
    sessions: DashMap<String, Arc<Session>>,
    room: DashMap<InstanceId, Arc<Semaphore>>,
}

impl Hub {
    /// A hub. Has to be made inside of a tokio runtime, as a task that closes idle sessions is started
    /// with it; it ends when the hub is dropped.
    #[must_use]
    pub fn new(config: HubConfig, ambient: Ambient) -> Arc<Self> {
        let hub = Arc::new(Self {
            config,
            ambient,
            sessions: DashMap::new(),
            room: DashMap::new(),
        });
        sweep_in_background(Arc::downgrade(&hub));
        hub
    }

    /// A request of a session that is here; `None` if the request names none, or one that is not here. No
    /// server has to be known for it.
    pub async fn in_session(
        &self,
        instance: InstanceId,
        epoch: &str,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Option<Response> {
        let session = self.find(instance, epoch, headers)?;
        Some(match *method {
            Method::POST => match front::message(&self.config.stream.message, body.clone()) {
                Ok(message) => front::take(&session.pipe, CLIENT, &message).await,
                Err(refused) => refused,
            },
            Method::GET => front::listen(&session.pipe, CLIENT),
            Method::DELETE => {
                self.close(&session);
                front::closed()
            }
            _ => front::not_allowed(),
        })
    }

    /// Any other request.
    ///
    /// # Errors
    /// The server did not open a session.
    pub async fn outside(
        &self,
        opener: Opener,
        method: &Method,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, OpenError> {
        if headers.contains_key(front::SESSION_ID) {
            return Ok(refusal::no_session());
        }
        if *method != Method::POST {
            return Ok(front::not_allowed());
        }
        let message = match front::message(&self.config.stream.message, body) {
            Ok(message) => message,
            Err(refused) => return Ok(refused),
        };
        if !front::is_initialize(&message) {
            return Ok(front::needs_session(&message));
        }
        self.begin(opener, &message).await
    }

    async fn begin(
        &self,
        opener: Opener,
        message: &Envelope<Bytes>,
    ) -> Result<Response, OpenError> {
        let session = self.open(opener).await?;
        // A client that goes away before it learnt the session's name can never use it.
        let unclaimed = Unclaimed { hub: self, session };
        let session = &unclaimed.session;
        let mut response = match front::begin(&session.pipe, CLIENT, message).await {
            Ok(response) => response,
            Err(refused) => return Ok(refused),
        };
        session.claimed.store(true, Ordering::Relaxed);
        front::name_session(&mut response, &session.id);
        Ok(response)
    }

    async fn open(&self, opener: Opener) -> Result<Arc<Session>, OpenError> {
        let Opener {
            instance,
            epoch,
            server,
        } = opener;
        let permit = self.permit(instance).await?;
        let config = PipeConfig {
            instance,
            mode: Mode::Exclusive,
            input_patience: self.config.input_patience,
            client_patience: self.config.client_patience,
        };
        let pipe = open(server, config, self.config.stream, Some(permit)).await?;
        pipe.enter(CLIENT);
        let session = Arc::new(Session {
            // Unguessable: whoever has it has the session.
            id: hex::encode(self.ambient.random::<16>()),
            instance,
            epoch,
            pipe,
            claimed: AtomicBool::new(false),
            last_used: Mutex::new(Instant::now()),
        });
        self.sessions
            .insert(session.id.clone(), Arc::clone(&session));
        Ok(session)
    }

    /// The session that the request names, if it lives and belongs to this start of the instance.
    fn find(&self, instance: InstanceId, epoch: &str, headers: &HeaderMap) -> Option<Arc<Session>> {
        let id = headers.get(front::SESSION_ID)?.to_str().ok()?;
        let session = Arc::clone(&*self.sessions.get(id)?);
        if session.instance != instance {
            return None;
        }
        if session.epoch != epoch || !session.pipe.runs() {
            self.close(&session);
            return None;
        }
        *session.last_used.lock() = Instant::now();
        Some(session)
    }

    fn close(&self, session: &Session) {
        self.sessions.remove(&session.id);
        session.pipe.leave(CLIENT);
        session.pipe.close();
    }

    /// Room for one more session, made by closing the one that has been idle longest if need be.
    async fn permit(&self, instance: InstanceId) -> Result<OwnedSemaphorePermit, OpenError> {
        let most = self.config.most_sessions;
        let room = Arc::clone(
            &*self
                .room
                .entry(instance)
                .or_insert_with(|| Arc::new(Semaphore::new(most))),
        );
        if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
            return Ok(permit);
        }
        if let Some(session) = self.idlest(instance) {
            self.close(&session);
            drop(session);
            if let Ok(Ok(permit)) = timeout(EVICTION, room.acquire_owned()).await {
                return Ok(permit);
            }
        }
        Err(OpenError::TooMany(most))
    }

    fn idlest(&self, instance: InstanceId) -> Option<Arc<Session>> {
        let sessions = self.sessions.iter().map(|session| Arc::clone(&*session));
        sessions
            .filter(|session| session.instance == instance)
            .filter_map(|session| Some((session.idle()?, session)))
            .filter(|(idle, _)| *idle >= self.config.evict_after)
            .max_by_key(|(idle, _)| *idle)
            .map(|(_, session)| session)
    }

    /// How many sessions an instance has at the moment.
    #[must_use]
    pub fn sessions(&self, instance: InstanceId) -> usize {
        self.room.get(&instance).map_or(0, |room| {
            self.config
                .most_sessions
                .saturating_sub(room.available_permits())
        })
    }

    /// Ends every session of an instance that is stopped or removed.
    pub fn forget(&self, instance: InstanceId) {
        self.end(|session| session.instance == instance);
    }

    /// Ends every session.
    pub fn close_all(&self) {
        self.end(|_| true);
    }

    fn end(&self, which: impl Fn(&Session) -> bool) {
        self.sessions.retain(|_, session| {
            let ends = which(session);
            if ends {
                session.pipe.close();
            }
            !ends
        });
    }

    /// Ends what nobody used for long, and forgets what has ended.
    fn sweep(&self) {
        let limit = self.config.idle;
        self.end(|session| {
            !session.pipe.runs() || session.idle().is_some_and(|idle| idle >= limit)
        });
        self.room
            .retain(|_, room| room.available_permits() < self.config.most_sessions);
    }
}

/// Closes a session that was never claimed.
struct Unclaimed<'a> {
    hub: &'a Hub,
    session: Arc<Session>,
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        if !self.session.claimed.load(Ordering::Relaxed) {
            self.hub.close(&self.session);
        }
    }
}

/// Sweeps until the hub is gone.
fn sweep_in_background(hub: Weak<Hub>) {
    let Some(every) = hub.upgrade().map(|hub| hub.config.idle / 2) else {
        return;
    };
    let every = every.clamp(Duration::from_millis(10), SWEEP);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(every);
        loop {
            tick.tick().await;
            let Some(hub) = hub.upgrade() else { return };
            hub.sweep();
        }
    });
}
