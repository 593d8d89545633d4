//! The environment reconciler: one machine for each account that wants one, and nothing left of
//! one that is no longer wanted.

mod apply;
pub mod plan;
pub mod ports;
pub mod scaling;

pub use apply::EnvironmentReconciler;
