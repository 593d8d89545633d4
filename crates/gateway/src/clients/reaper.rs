//! Ends clients that nobody uses any more.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;

/// Looks a few times in each idle period, at least every second and at most every minute.
pub(crate) fn start(core: &Arc<Core>) {
    let every =
        (core.config.session_idle / 4).clamp(Duration::from_secs(1), Duration::from_mins(1));
    let core = Arc::downgrade(core);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            match core.upgrade() {
                Some(core) if !core.stopped.is_cancelled() => core.expire_idle(),
                _ => return,
            }
        }
    });
}
