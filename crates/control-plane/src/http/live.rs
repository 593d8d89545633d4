//! Wakes live streams when events were written, so that a watcher sees a change at once instead of
//! at the next look.

use std::sync::Arc;

use tokio::sync::watch;

/// A bell that everybody hears who listens. Only a hint: listeners also look by themselves, because
/// events of other replicas ring no bell here.
#[derive(Debug, Clone)]
pub struct EventBell(Arc<watch::Sender<u64>>);

/// Hears the bell.
#[derive(Debug)]
pub struct Listener(watch::Receiver<u64>);

impl Default for EventBell {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl EventBell {
    /// Events were written.
    pub fn ring(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Begins to listen: a ring from now on is heard.
    #[must_use]
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

impl Listener {
    /// Returns once the bell was rung since the last call.
    pub async fn heard(&mut self) {
        if self.0.changed().await.is_err() {
            // The bell is gone with the server; there is nothing more to hear.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_between_two_looks_is_not_lost() {
        let bell = EventBell::default();
        let mut listener = bell.listen();
        bell.ring();
        bell.ring();
        listener.heard().await;
        bell.ring();
        listener.heard().await;
    }
}
