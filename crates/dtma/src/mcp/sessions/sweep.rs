//! The end of what nobody used for long.

use std::sync::Arc;
use std::time::Duration;

use agentopia_bridge::Pipe;

use super::Sessions;
use crate::mcp::DataPath;

/// How often idle sessions are looked for, at least.
const SWEEP: Duration = Duration::from_secs(10);

impl Sessions {
    /// Ends what nobody used for long, and forgets what has ended.
    fn sweep(&self) {
        let limit = self.config.idle;
        self.by_id.retain(|_, session| {
            let keep = session.process.runs() && session.idle().is_none_or(|idle| idle < limit);
            if !keep {
                session.end();
            }
            keep
        });
        let serving: Vec<*const Pipe> = self
            .by_id
            .iter()
            .map(|session| Arc::as_ptr(&session.process))
            .collect();
        self.shared.retain(|_, slot| {
            // Locked: it is being started, or asked for.
            let Ok(slot) = slot.try_lock() else {
                return true;
            };
            let Some(shared) = &*slot else { return false };
            let wanted = serving.contains(&Arc::as_ptr(&shared.process))
                || shared.process.idle().is_none_or(|idle| idle < limit);
            if !wanted {
                shared.process.close();
            }
            wanted && shared.process.runs()
        });
        self.all
            .lock()
            .retain(|one| one.process.upgrade().is_some_and(|process| process.runs()));
        self.room
            .retain(|_, room| room.available_permits() < self.config.most_processes);
    }
}

/// Sweeps until the data path is gone.
pub(in crate::mcp) fn sweep_in_background(path: &Arc<DataPath>) {
    let every = (path.config.idle / 2).clamp(Duration::from_millis(10), SWEEP);
    let path = Arc::downgrade(path);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(every);
        loop {
            tick.tick().await;
            let Some(path) = path.upgrade() else { return };
            path.sessions.sweep();
        }
    });
}
