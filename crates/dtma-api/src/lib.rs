//! The contract between the control plane and the DTMA: types and typed clients for both
//! directions, so that neither side can drift from the other without failing to compile.
//!
//! * [`to_dtma`]: what the control plane asks of a machine, over mutual TLS on port 30000.
//! * [`to_control_plane`]: what a machine asks of the control plane, under `/api/dtma/v1`.
//! * [`problem`]: how either says no.
//!
//! Versions: both sides name the contract versions they speak in [`PROTOCOL_HEADER`]; the
//! newest one that both know is used, and [`MIN_PROTOCOL`] is the oldest still served. Fields are
//! only ever added with a default; a change that can't be made so gets a new version.

mod http;
pub mod problem;
pub mod to_control_plane;
pub mod to_dtma;

/// Request header: the newest version of this contract that the sender speaks.
pub const PROTOCOL_HEADER: &str = "agentopia-protocol";
/// The version that this build speaks.
pub const PROTOCOL: u16 = 1;
/// The oldest version that this build still serves.
pub const MIN_PROTOCOL: u16 = 1;
/// The port on which a DTMA listens unless it is told otherwise (architecture, decision 4).
pub const DEFAULT_PORT: u16 = 30000;
