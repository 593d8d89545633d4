//! Where machines come from: one trait for every provider, and the provider `local`.
//!
//! A provider knows machines and nothing of tools: the environment reconciler asks it for a
//! machine, the DTMA on that machine does the rest. Every provider has to obey the same rules, so
//! that a crash between any two calls neither duplicates nor leaks a machine:
//!
//! * a machine is found again by the id of its environment, before anything is made;
//! * [`MachineProvider::delete`] can be repeated, and says `Gone` only when nothing is left;
//! * errors say whether trying again can help ([`ProviderError`]).
//!
//! [`local`] is this very machine (ENV-5); DigitalOcean has a crate of its own. What a machine in a
//! cloud does at its first start is in [`bootstrap`].

pub mod bootstrap;
pub mod local;
mod provider;
mod size;
pub mod verification;

pub use agentopia_domain::orphan::ProviderThing;
pub use provider::{
    Begun, Bootstrap, Deletion, Found, Machine, MachineAction, MachineProvider, MachineRequest,
    MachineState, OperationState, Proof, ProviderError, Sought,
};
pub use size::{GB, MachineSize, Resizable, SizeObstacle};
