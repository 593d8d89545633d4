//! The control plane's side of every machine: who they are, how they reach us, how we reach them.
//!
//! * [`authority`]: the installation's CA, made once and kept in the vault;
//! * [`credentials`]: enrolment and renewal;
//! * [`listener`]: `/api/dtma/v1`, what machines ask of us;
//! * [`connections`]: clients for what we ask of them;
//! * [`commands`]: what of that reconcilers use.

pub mod authority;
pub mod commands;
pub mod connections;
pub mod credentials;
pub mod listener;
mod logs;

pub use authority::Authority;
pub use commands::{MachineCommands, MachineDirectory};
pub use connections::Connections;
