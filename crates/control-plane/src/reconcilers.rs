//! What turns intent into reality. Handlers write what is wanted; these look at what is there and
//! take one step at a time (architecture, decision 1).
//!
//! * [`queue`]: who works on which row, when;
//! * [`environment`]: the machine of an account;
//! * [`instance`]: a tool on its machine;
//! * [`orphans`]: what belongs to nobody at the provider;
//! * [`routes`]: the gateway's table, kept in line with the store.
//!
//! Each noun has `plan` (pure: observation → step) and `apply` (the I/O of that step).

pub mod environment;
pub mod instance;
pub mod orphans;
pub mod queue;
pub mod routes;
mod timeline;

pub use queue::Bell;

/// The bells of both queues.
#[derive(Debug, Clone, Default)]
pub struct Bells {
    /// Wakes the environment reconciler.
    pub environments: Bell,
    /// Wakes the instance reconciler.
    pub instances: Bell,
}
