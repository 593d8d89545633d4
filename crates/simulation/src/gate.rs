//! The store's seam: uses of the database take turns, and commits are effects that can go wrong.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agentopia_domain::Clock as _;
use agentopia_domain::event::NewEvent;
use agentopia_store::{Access, CutOff, Seam, Turn};
use async_trait::async_trait;

use crate::conductor::{Blow, Conductor, Kind, Party};
use crate::time::VirtualClock;

/// For whom a store works. Only what reconcilers and enrolments commit counts as an effect:
/// heartbeats and leases come again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A reconciler.
    Reconciler,
    /// The queue: leases.
    Queue,
    /// The listener for machines.
    Listener,
    /// Whoever is no replica.
    Outside,
}

/// See the module's header.
pub(crate) struct Gate {
    pub(crate) conductor: Arc<Conductor>,
    pub(crate) who: Party,
    pub(crate) role: Role,
    /// The database's clock.
    pub(crate) clock: VirtualClock,
    /// The commit under way is to be followed by a refusal. There is one at a time.
    refuse_after: AtomicBool,
}

impl Gate {
    pub(crate) fn seam(
        conductor: &Arc<Conductor>,
        who: Party,
        role: Role,
        clock: VirtualClock,
    ) -> Arc<dyn Seam> {
        Arc::new(Self {
            conductor: Arc::clone(conductor),
            who,
            role,
            clock,
            refuse_after: AtomicBool::new(false),
        })
    }

    fn counts(&self, events: &[NewEvent]) -> bool {
        match self.role {
            Role::Reconciler => true,
            Role::Listener => !events.is_empty(),
            Role::Queue | Role::Outside => false,
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({}, {:?})", self.who, self.role)
    }
}

#[async_trait]
impl Seam for Gate {
    async fn turn(&self, _: Access) -> Result<Turn, CutOff> {
        Ok(Box::new(self.conductor.turn(self.who).await?))
    }

    fn before_commit(&self, events: &[NewEvent]) -> Result<(), CutOff> {
        if self.conductor.is_cut(self.who) {
            return Err(CutOff);
        }
        let blow = if self.counts(events) {
            let label = label(self.role, events);
            self.conductor.effect(self.who, Kind::Commit, &label)
        } else {
            None
        };
        let refused = matches!(blow, Some(Blow::Fails | Blow::CrashBefore));
        let word = if refused { "refused: " } else { "" };
        for event in events {
            let (who, trace) = (self.who, &self.conductor.trace);
            trace.say(format_args!(
                "{who}: {word}{}: {}",
                event.kind, event.message
            ));
        }
        if refused {
            return Err(CutOff);
        }
        let after = matches!(blow, Some(Blow::CrashAfter | Blow::Repeated));
        self.refuse_after.store(after, Ordering::Relaxed);
        if blow == Some(Blow::CrashAfter) {
            self.conductor.fall(self.who);
        }
        Ok(())
    }

    fn after_commit(&self) -> Result<(), CutOff> {
        match self.refuse_after.swap(false, Ordering::Relaxed) {
            true => Err(CutOff),
            false => Ok(()),
        }
    }

    fn database_now(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }
}

fn label(role: Role, events: &[NewEvent]) -> String {
    let mut label = match role {
        Role::Listener => "the listener commits".to_owned(),
        _ => "a reconciler commits".to_owned(),
    };
    for event in events {
        label.push(' ');
        label.push_str(event.kind);
    }
    label
}
