//! `tool-init`: PID 1 of every tool container, and the host's half of the conversation with it.
//!
//! The host (the DTMA) listens on a socket in a directory that the container sees read-only;
//! [`init`] connects *out* to it, gets the environment (secrets included) and the pipes of each
//! session from there, and starts the image's own program on them. So neither Docker nor this
//! process stands on the data path, and no secret stands in Docker's configuration of the container.
//!
//! * [`protocol`]: versions, limits, exit codes, session ids: the facts both sides must agree on.
//! * [`frame`]: the messages, as pure encoding and decoding. Start here to change the protocol.
//! * [`host`]: what the DTMA uses: [`host::HostSocket`], [`host::Control`], [`host::SessionPipes`].
//! * [`init`]: what runs as PID 1. `src/main.rs` does nothing but call it.
//! * `sys`: the only module with `unsafe` in it.

pub mod frame;
pub mod host;
pub mod init;
pub mod protocol;
pub mod secret;
mod sys;
