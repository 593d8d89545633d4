//! Calls that run, and how they are told to stop.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// One call's switch.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    cancelled: Mutex<bool>,
    changed: Condvar,
}

impl Cancel {
    /// Waits; true if the call was cancelled meanwhile.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let cancelled = self
            .cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(cancelled, time, |cancelled| !*cancelled);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn cancel(&self) {
        *self
            .cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

/// The calls of one session, by request id.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<String, Arc<Cancel>>>);

impl Running {
    /// The switch of a call. A transport that gives the call to another thread asks for it before,
    /// so that a notification right behind the request finds it.
    pub(crate) fn begin(&self, id: &Value) -> Arc<Cancel> {
        Arc::clone(self.lock().entry(id.to_string()).or_default())
    }

    pub(crate) fn end(&self, id: &Value) {
        self.lock().remove(&id.to_string());
    }

    /// Stops a call, if it still runs.
    pub(crate) fn cancel(&self, id: &Value) {
        if let Some(cancel) = self.lock().get(&id.to_string()) {
            cancel.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Cancel>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_call_that_is_named_stops() {
        let running = Running::default();
        let (a, b) = (running.begin(&json!(1)), running.begin(&json!("1")));
        running.cancel(&json!(1));
        running.cancel(&json!("unknown"));
        assert!(a.wait(Duration::from_secs(60)));
        assert!(!b.wait(Duration::ZERO));
    }
}
