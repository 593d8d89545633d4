//! Streamable HTTP in front of MCP servers that speak over one pipe of messages for each session, so
//! that the gateway has one way of talking to every server (AGT-4).
//!
//! A process on its standard streams and a 2024-11-05 server (HTTP+SSE: a `GET` whose events are what the
//! server says, `POST`s to an address that its first event names) have the same shape: messages in,
//! messages out, and nothing that tells which request a message belongs to. What follows from that is
//! here, once:
//!
//! * [`Pipe`] is one session with one server, or one process that several sessions share: requests get
//!   ids of our own on the way in and theirs back on the way out; who gets which message is decided in
//!   `routes`, without I/O;
//! * [`Ends`] is the other side of a pipe, for whoever moves the bytes: the DTMA for processes,
//!   [`sse::open`] for HTTP+SSE;
//! * [`answer`] and [`refusal`] are the form of HTTP answers, [`front`] the steps that every session has;
//! * [`sse::Hub`] is a whole Streamable HTTP endpoint in front of HTTP+SSE servers, with its sessions and
//!   their limits: the DTMA's for servers in containers, the control plane's for remote ones.

pub mod answer;
mod ends;
pub mod front;
mod pipe;
pub mod refusal;
mod routes;
pub mod sse;

pub use ends::{Ending, Ends, Incoming};
pub use pipe::{Call, Listening, PROCESS_GONE, Pipe, PipeConfig, SendError};
pub use routes::{Delivery, Mode};
