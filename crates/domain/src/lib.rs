//! The product's vocabulary: ids, specifications, statuses and the pure rules between them.
//!
//! Every other crate speaks in these types, so nothing here may reach the outside world: no
//! async runtime, no HTTP, no database (CI proves it, see `script/check-deps`). Time and
//! randomness come in through [`Ambient`].
//!
//! Where to look next: [`environment`] and [`instance`] hold the two state machines that the
//! reconcilers drive, [`spec`] is what the control plane asks a machine for, [`observed`] what
//! the machine answers.

pub mod account;
pub mod admission;
pub mod agent;
pub mod ambient;
pub mod call;
pub mod catalog;
pub mod definitions;
pub mod direct_access;
pub mod egress;
pub mod environment;
pub mod event;
pub mod idle;
pub mod ids;
pub mod instance;
pub mod link;
pub mod metrics;
pub mod name;
pub mod oauth;
pub mod observed;
pub mod orphan;
pub mod package_build;
pub mod page;
pub mod redact;
pub mod remote;
pub mod resources;
pub mod secret;
pub mod spec;
pub mod token;
pub mod user;
pub mod verification;
pub mod versions;

pub use ambient::{Ambient, Clock, Entropy, SystemClock, SystemEntropy};
pub use ids::*;
