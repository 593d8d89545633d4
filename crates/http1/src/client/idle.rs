//! Connections that wait for the next request. One task looks after them while there are any.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Settings;

/// Connections `D` by what they lead to.
#[derive(Debug)]
pub(crate) struct Idle<T, D> {
    settings: Settings,
    kept: Mutex<Kept<T, D>>,
}

#[derive(Debug)]
struct Kept<T, D> {
    /// Each with the time since which it is idle, the oldest first.
    all: HashMap<T, Vec<(Instant, D)>>,
    /// Whether somebody looks after them.
    is_tended: bool,
}

impl<T, D> Idle<T, D>
where
    T: Eq + Hash + Clone + Send + 'static,
    D: Send + 'static,
{
    pub(crate) fn new(settings: Settings) -> Self {
        let kept = Mutex::new(Kept {
            all: HashMap::new(),
            is_tended: false,
        });
        Self { settings, kept }
    }

    /// The one that was used last: what is too many grows old.
    pub(crate) fn take(&self, target: &T) -> Option<D> {
        let (since, driver) = self.kept.lock().all.get_mut(target)?.pop()?;
        (since.elapsed() < self.settings.idle).then_some(driver)
    }

    pub(crate) fn put(self: &Arc<Self>, target: &T, driver: D) {
        let mut kept = self.kept.lock();
        if !kept.all.contains_key(target) {
            kept.all.insert(target.clone(), Vec::new());
        }
        if let Some(of_target) = kept.all.get_mut(target)
            && of_target.len() < self.settings.most_idle
        {
            of_target.push((Instant::now(), driver));
        }
        if !kept.is_tended {
            kept.is_tended = true;
            tokio::spawn(tend(Arc::downgrade(self), self.settings));
        }
    }

    /// Lets go of what is too old. Whether anything is left.
    fn tidy(&self) -> bool {
        let mut old = Vec::new();
        let mut kept = self.kept.lock();
        kept.all.retain(|_, of_target| {
            let is_young = |(since, _): &(Instant, D)| since.elapsed() < self.settings.idle;
            let first_young = of_target.iter().position(is_young);
            old.extend(of_target.drain(..first_young.unwrap_or(of_target.len())));
            !of_target.is_empty()
        });
        kept.is_tended = !kept.all.is_empty();
        let is_tended = kept.is_tended;
        // Closing takes system calls.
        drop(kept);
        drop(old);
        is_tended
    }
}

async fn tend<T, D>(idle: Weak<Idle<T, D>>, settings: Settings)
where
    T: Eq + Hash + Clone + Send + 'static,
    D: Send + 'static,
{
    loop {
        tokio::time::sleep(settings.idle).await;
        match idle.upgrade() {
            Some(idle) if idle.tidy() => {}
            _ => return,
        }
    }
}
