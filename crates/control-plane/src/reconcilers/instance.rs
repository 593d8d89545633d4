//! The instance reconciler: hands machines what their owners want, and keeps what they report.

mod apply;
pub mod plan;
mod remote;
pub mod render;
pub(crate) mod sleep;
pub mod upgrade;

pub use apply::InstanceReconciler;
