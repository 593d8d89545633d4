//! Room for one more process: how many there may be, and how much they may use together.

use std::sync::Arc;
use std::time::Duration;

use agentopia_bridge::Pipe;
use agentopia_domain::InstanceId;
use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Sessions, StdioTool};
use crate::mcp::refusal;
use crate::runtime::Quota;

/// How long a process that is closed to make room may take.
const EVICTION: Duration = Duration::from_secs(8);

impl Sessions {
    /// Room for one more process, made by closing the one that has been idle longest if need be.
    pub(super) async fn permit(
        &self,
        instance: InstanceId,
    ) -> Result<OwnedSemaphorePermit, Response> {
        let room = Arc::clone(
            &*self
                .room
                .entry(instance)
                .or_insert_with(|| Arc::new(Semaphore::new(self.config.most_processes))),
        );
        if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
            return Ok(permit);
        }
        if let Some(process) = self.idlest(instance, self.config.evict_after) {
            process.close();
            drop(process);
            if let Ok(Ok(permit)) = timeout(EVICTION, room.acquire_owned()).await {
                return Ok(permit);
            }
        }
        Err(refusal::problem(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_sessions",
            format!(
                "this tool has {} sessions open, which is the limit: close some, or try again later",
                self.config.most_processes
            ),
        ))
    }

    /// Closes processes that have been idle longest until what the tool may have is enough for one more,
    /// or none is idle. Whoever they served gets a new one with its next request.
    pub(super) async fn make_room(&self, tool: StdioTool<'_>) {
        let instance = tool.handle.instance_id;
        loop {
            let running = self.of(Some(instance));
            let count = running.iter().filter(|process| process.runs()).count();
            drop(running);
            let quotas = tool.spawner.quotas();
            let Some(tight) = quotas.iter().find(|quota| is_tight(**quota, count)) else {
                return;
            };
            let Some(process) = self.idlest(instance, self.config.evict_for_room_after) else {
                return;
            };
            tracing::info!(%instance, processes = count, used = tight.used, limit = tight.limit, "closing an idle process: the tool may have too little for another one");
            process.close();
            if timeout(EVICTION, process.wait_gone()).await.is_err() {
                return;
            }
        }
    }

    fn idlest(&self, instance: InstanceId, after: Duration) -> Option<Arc<Pipe>> {
        self.of(Some(instance))
            .into_iter()
            .filter(|process| process.runs())
            .filter_map(|process| Some((process.idle()?, process)))
            .filter(|(idle, _)| *idle >= after)
            .max_by_key(|(idle, _)| *idle)
            .map(|(_, process)| process)
    }
}

/// Whether one more process may be too much. It is taken to need as much as the others do on average, but
/// a quarter of the limit at most: one that has grown says little about one that is new.
fn is_tight(quota: Quota, processes: usize) -> bool {
    let each = quota.used.checked_div(processes as u64);
    let one_more = each.map_or(0, |each| each.min(quota.limit / 4));
    quota.used + one_more > quota.limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tight_before_it_is_too_little() {
        let tight = |used, processes| is_tight(Quota { used, limit: 400 }, processes);
        assert!(!tight(0, 0));
        assert!(!tight(399, 0), "there is nothing to close");
        // Small ones: as many as fit.
        assert!(!tight(280, 4));
        assert!(tight(350, 5));
        // One that has grown leaves room for a small one.
        assert!(!tight(290, 1));
        assert!(tight(310, 1));
    }
}
