//! The host's half: what the DTMA needs to run servers under `tool-init`.
//!
//! ```text
//! HostSocket::bind ─► container starts ─► HostSocket::accept(expected peer) ─► Control
//!   Control: HELLO in, WELCOME out, then SPAWN with the tool's ends of SessionPipes, …
//! ```
//! Everything is non-blocking and implements `AsRawFd`, so that `tokio::io::unix::AsyncFd` can drive
//! it: wrap [`HostSocket`] or [`Control`], and pass [`HostSocket::accept`], [`Control::try_send`]
//! and [`Control::try_recv`] to `async_io` (`WouldBlock` means: wait). Nothing here logs or retries.

mod control;
mod pipes;
mod socket;

pub use control::Control;
pub use pipes::{SessionPipes, ToolEnds};
pub use socket::{ExpectedPeer, HostSocket, Owner};
