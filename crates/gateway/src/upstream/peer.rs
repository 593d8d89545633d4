//! One client's connection with one server: opened on first use, opened again when it is lost,
//! never shared with another client (AGT-6).
//!
//! The handshake runs in a task of its own, so that a list that gives up on a slow server does not
//! make the next one begin from nothing; all who wait for it share its outcome.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agentopia_domain::InstanceId;
use agentopia_mcp::{Era, Id};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Live, UpstreamError, handshake, listen};
use crate::clients::Client;
use crate::core::Core;
use crate::routes::InstanceRoute;
use crate::sleepers::wakes;

type Opening = Shared<BoxFuture<'static, Result<Arc<Live>, UpstreamError>>>;

enum State {
    Idle,
    /// For this epoch of the instance.
    Opening(String, Opening),
    Live(Arc<Live>),
    Closed,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Opening(..) => "Opening",
            Self::Live(_) => "Live",
            Self::Closed => "Closed",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) instance: InstanceId,
    state: Mutex<State>,
    next_id: AtomicU64,
    /// Progress tokens of the client, by our id of the call (rule 9).
    pub(crate) progress: Mutex<HashMap<u64, Id>>,
    /// Resources that the client wants updates of.
    pub(crate) subscriptions: Mutex<BTreeSet<String>>,
    /// The task that holds the standing stream.
    listener: Mutex<Option<CancellationToken>>,
}

impl Upstream {
    pub(crate) fn new(instance: InstanceId) -> Self {
        Self {
            instance,
            state: Mutex::new(State::Idle),
            next_id: AtomicU64::new(0),
            progress: Mutex::default(),
            subscriptions: Mutex::default(),
            listener: Mutex::default(),
        }
    }

    /// An id for a request on this hop; never given out twice.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn is_live(&self) -> bool {
        self.current().is_some()
    }

    /// The open connection, if there is one.
    pub(crate) fn current(&self) -> Option<Arc<Live>> {
        match &*self.state.lock() {
            State::Live(live) if !live.is_lost() => Some(live.clone()),
            _ => None,
        }
    }

    /// The open connection; opens it if need be, and wakes the server if it sleeps.
    pub(crate) async fn live(
        self: &Arc<Self>,
        core: &Arc<Core>,
        client: &Arc<Client>,
        route: &Arc<InstanceRoute>,
    ) -> Result<Arc<Live>, UpstreamError> {
        let woken;
        let route = match wakes::is_up(core, route) {
            true => route,
            false => {
                woken = Box::pin(wakes::up(core, route)).await?;
                &woken
            }
        };
        let own;
        let route = match client.agent() {
            Some(agent) => {
                let seen = core.routes.load().for_agent(agent, route);
                own = seen.ok_or(UpstreamError::Unlinked)?;
                &own
            }
            None => route,
        };
        let opening = {
            let mut state = self.state.lock();
            match &*state {
                State::Live(live) if live.serves(route) => return Ok(live.clone()),
                State::Opening(epoch, opening) if *epoch == route.epoch => opening.clone(),
                State::Closed if client.ended.is_cancelled() => {
                    return Err(UpstreamError::Cancelled);
                }
                State::Closed => return Err(UpstreamError::Unlinked),
                _ => {
                    if let Err(reason) = &route.available {
                        return Err(UpstreamError::Unavailable(reason.clone()));
                    }
                    let trial = core.config.handshake_timeout;
                    if let Err(rest) = core.breakers.admit(route, trial) {
                        return Err(UpstreamError::Resting(rest));
                    }
                    let opening = self.open(core.clone(), client.clone(), route.clone());
                    *state = State::Opening(route.epoch.clone(), opening.clone());
                    opening
                }
            }
        };
        opening.await
    }

    fn open(
        self: &Arc<Self>,
        core: Arc<Core>,
        client: Arc<Client>,
        route: Arc<InstanceRoute>,
    ) -> Opening {
        let this = self.clone();
        let task = tokio::spawn(async move {
            let _using = core.uses.begin(route.id);
            let shaking = handshake::perform(&core, &client, &this, &route);
            let outcome = tokio::select! {
                outcome = tokio::time::timeout(core.config.handshake_timeout, shaking) => {
                    outcome.unwrap_or(Err(UpstreamError::Timeout)).map(Arc::new)
                }
                () = client.ended.cancelled() => Err(UpstreamError::Cancelled),
            };
            let learnt = outcome.as_ref().map(|_| ());
            core.breakers
                .learn(&route, learnt, core.config.breaker_rest);
            this.settle(&core, &client, &route, &outcome);
            outcome
        });
        async move { task.await.unwrap_or(Err(UpstreamError::Broken)) }
            .boxed()
            .shared()
    }

    /// Puts the outcome of a handshake in place, unless things have moved on meanwhile.
    fn settle(
        self: &Arc<Self>,
        core: &Arc<Core>,
        client: &Arc<Client>,
        route: &InstanceRoute,
        outcome: &Result<Arc<Live>, UpstreamError>,
    ) {
        let is_ours = {
            let mut state = self.state.lock();
            let is_ours = matches!(&*state, State::Opening(epoch, _) if *epoch == route.epoch);
            if is_ours {
                *state = match outcome {
                    Ok(live) => State::Live(live.clone()),
                    Err(_) => State::Idle,
                };
            }
            is_ours
        };
        match outcome {
            Ok(_) if is_ours && client.is_attached() => self.listen(core, client),
            Ok(live) if !is_ours => farewell(core, client, self.instance, live),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(instance = %self.instance, %error, "no connection with the server");
            }
        }
    }

    /// Hears what the server has to say outside of requests, if it is live and has such things.
    /// Starting anew replaces the stream, so that a changed set of subscriptions counts.
    pub(crate) fn listen(self: &Arc<Self>, core: &Arc<Core>, client: &Arc<Client>) {
        let Some(live) = self.current() else { return };
        if live.silent.load(Ordering::Relaxed) {
            return;
        }
        let mut listener = self.listener.lock();
        if let Some(running) = &*listener
            && !running.is_cancelled()
            && live.era == Era::Session
        {
            return;
        }
        if let Some(old) = listener.take() {
            old.cancel();
        }
        let stop = live.closed.child_token();
        *listener = Some(stop.clone());
        listen::start(core.clone(), client.clone(), self.clone(), live, stop);
    }

    /// The server was started anew, or another serves in its place: what was agreed with it is over, what is
    /// wanted of it is not. With `patience`, calls in flight get their answers first.
    pub(crate) fn renew(&self, core: &Arc<Core>, client: &Arc<Client>, patience: bool) {
        let mut state = self.state.lock();
        if matches!(*state, State::Closed) {
            return;
        }
        let before = std::mem::replace(&mut *state, State::Idle);
        drop(state);
        if let State::Live(live) = before {
            if patience && live.session.is_some() && !live.is_lost() {
                // What it says outside of calls is of no use any more.
                if let Some(listener) = self.listener.lock().take() {
                    listener.cancel();
                }
                let (core, client, instance) = (core.clone(), client.clone(), self.instance);
                let stopped = core.stopped.clone();
                core.farewells.clone().spawn(async move {
                    tokio::select! {
                        () = live.calls_ended() => {}
                        () = stopped.cancelled() => {}
                    }
                    farewell(&core, &client, instance, &live);
                });
            } else {
                farewell(core, client, self.instance, &live);
            }
        }
    }

    /// The server went to sleep: the connection is of no use any more, and nobody is there to say
    /// goodbye to.
    pub(crate) fn rest(&self) {
        let mut state = self.state.lock();
        if let State::Live(live) = &*state {
            live.lose();
            *state = State::Idle;
        }
    }

    /// Ends it for good and tells the server.
    pub(crate) fn close(&self, core: &Arc<Core>, client: &Arc<Client>) {
        let before = std::mem::replace(&mut *self.state.lock(), State::Closed);
        if let State::Live(live) = before {
            farewell(core, client, self.instance, &live);
        }
    }
}

/// Closes a session that nobody needs.
fn farewell(core: &Arc<Core>, client: &Arc<Client>, instance: InstanceId, live: &Arc<Live>) {
    let was_lost = live.is_lost();
    live.lose();
    if was_lost || live.session.is_none() {
        return;
    }
    let (core_of_task, client, live) = (core.clone(), client.clone(), live.clone());
    core.farewells.spawn(async move {
        let patience = std::time::Duration::from_secs(2);
        let goodbye = super::exchange::delete(&core_of_task, &client, &live);
        if tokio::time::timeout(patience, goodbye).await.is_err() {
            tracing::debug!(%instance, "the server did not take our goodbye");
        }
    });
}
