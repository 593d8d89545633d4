//! HTTP/1.1 for the data path, on both sides: a server and a client whose every connection is one state
//! machine, moved by the task that waits for it.
//!
//! hyper is made for everybody: its client runs each connection in a task of its own, so that every request
//! wakes that task and every answer wakes the caller's, and both sides hold buffers of 8 KiB and more for as
//! long as a connection is open. A gateway pays for that with every call and with every idle stream
//! (docs/benchmarks.md has what it is worth, `docs/decisions/0017-http1-of-our-own.md` why it is not hyper's). Here an
//! answer is passed on in the same poll that read it, and a connection on which nothing happens holds no
//! buffer at all. Heads are parsed by `httparse`; HTTP/2 is left to hyper.
//!
//! * [`Client`] keeps idle connections to many targets and sends requests; [`Connect`] opens them;
//! * [`server::serve`] answers the requests of one connection;
//! * `head` reads and writes heads, `framing` says where a body ends (and refuses what two parties could
//!   read in two ways), `decode` and `encode` are bodies on the wire, `inbox` and `outbox` the two buffers.

mod client;
mod decode;
mod encode;
mod framing;
mod head;
mod inbox;
mod outbox;
pub mod server;

pub use client::{Body, Client, Connect, Content, Error, Settings, Tcp};

/// What an error of a body may be.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
