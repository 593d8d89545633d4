//! A call waits for a server that sleeps. It can be cancelled meanwhile, like one that is under way.

use std::sync::Arc;

use agentopia_mcp::{Era, Id};
use tokio_util::sync::CancellationToken;

use super::Asking;
use crate::clients::Client;
use crate::routes::InstanceRoute;
use crate::sleepers::wakes;
use crate::upstream::UpstreamError;

/// In place of the number of a call that has none yet: those begin with 1.
const NOT_SENT: u64 = 0;

/// Makes a call known that was not sent yet, for as long as it lives.
struct Waiting<'a> {
    client: &'a Client,
    id: &'a Id,
}

impl<'a> Waiting<'a> {
    fn begin(client: &'a Client, id: &'a Id, cancelled: &CancellationToken) -> Self {
        if client.hello.era == Era::Session {
            let known = (NOT_SENT, cancelled.clone());
            client.calls.lock().insert(id.clone(), known);
        }
        Self { client, id }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut calls = self.client.calls.lock();
        let waits = calls
            .get(self.id)
            .is_some_and(|(number, _)| *number == NOT_SENT);
        if waits {
            calls.remove(self.id);
        }
    }
}

/// The route of the server once it runs.
pub(super) async fn up(
    asking: &Asking<'_>,
    route: &Arc<InstanceRoute>,
) -> Result<Arc<InstanceRoute>, UpstreamError> {
    let cancelled = asking.client.ended.child_token();
    let _waiting = Waiting::begin(asking.client, asking.id, &cancelled);
    tokio::select! {
        up = wakes::up(asking.core, route) => up,
        () = cancelled.cancelled() => Err(UpstreamError::Cancelled),
    }
}
