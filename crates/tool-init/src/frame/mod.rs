//! The messages on the control connection, as pure encoding and decoding.
//!
//! Each message is one `SOCK_SEQPACKET` record: a header (`u8 type, u8 flags, u16 zero, u32 session`,
//! little-endian) and a payload. Decoding is strict: unknown types and flags, a non-zero reserved
//! field, missing and left-over bytes are all refused, so that two builds never half-understand
//! each other; what a newer build adds comes with a newer version in HELLO.
//!
//! * [`ToInit`]: what the host says. SPAWN borrows the receive buffer: the strings are
//!   NUL-terminated on the wire, so `execve` can use them where they lie and one wipe erases them.
//! * [`ToHost`]: what `tool-init` says.
//! * [`Strings`], [`StringsBuf`]: argument and environment lists.

mod strings;
mod to_host;
mod to_init;
mod wire;

pub use strings::{Strings, StringsBuf};
pub use to_host::{ExitStatus, Refusal, Running, ServerKind, Stage, ToHost};
pub use to_init::{Spawn, ToInit};
pub use wire::{DecodeError, EncodeError, session_of};
