//! Calls whose session-era server waits for an answer of a modern client (rule 11). The client has the
//! server's question as the result of its request, and no connection; the call stays open here until the
//! client repeats the request with the answer, or until nobody can be expected to do so any more: then
//! its server is told that it is cancelled.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::stream::Events;
use crate::core::Core;

/// What a suspended call is found by; 128 random bits.
pub(crate) type Handle = [u8; 16];

/// So many calls may be suspended at once, of all clients together.
const MOST: usize = 10_000;

/// All of them.
#[derive(Default)]
pub(crate) struct Suspended(Mutex<HashMap<Handle, Events>>);

impl Suspended {
    /// Whether there is room for another one.
    pub(super) fn has_room(&self) -> bool {
        self.0.lock().len() < MOST
    }

    /// Keeps a call for as long as a question is good.
    pub(super) fn put(&self, core: &Arc<Core>, handle: Handle, events: Events) {
        let gone = events.client_gone();
        self.0.lock().insert(handle, events);
        let core = core.clone();
        tokio::spawn(async move {
            let lifetime = core.config.request_state_lifetime;
            tokio::select! {
                () = tokio::time::sleep(lifetime) => {}
                () = gone.cancelled() => {}
                () = core.stopped.cancelled() => {}
            }
            // Dropping it tells its server, unless it was taken or is suspended anew.
            drop(core.suspended.take(&handle));
        });
    }

    /// The call, if it still waits.
    pub(super) fn take(&self, handle: &Handle) -> Option<Events> {
        self.0.lock().remove(handle)
    }
}
