//! The MCP wire protocol without any I/O: what gateway and DTMA share.
//!
//! A proxy must not parse a message into types and write it again: that loses unknown fields and
//! the text of numbers, and costs ten times a scan. So this crate works on the bytes: one scan
//! finds the few places that matter ([`Envelope`]), a splice changes just those ([`Splice`]), and
//! every other byte goes through untouched. There is no socket, clock, task or lock in here.
//!
//! | to do this | use |
//! |---|---|
//! | read a message: kind, id, method, any routed field | [`Envelope::scan`], [`Field`], [`Json`], [`Id`] |
//! | a JSON array of messages (2025-03-26 batches) | [`ScanError::Batch`], then [`batch_elements`] |
//! | change id, name, progress token, `_meta`, cursor… | [`Splice`] |
//! | make results, errors, requests, notifications | [`jsonrpc`]: [`RpcError`], [`ObjectWriter`] |
//! | which era, which version | [`Era`], [`ProtocolVersion`], [`era_of`], [`negotiate_initialize`], [`negotiate_modern`] |
//! | check a modern request before anything else happens | [`headers::check_request`] → [`ModernRequest`] or [`Refusal`] |
//! | headers towards a modern upstream | [`headers::set_standard`], [`ParamHeaders`] |
//! | Server-Sent Events in and out | [`SseParser`], [`sse`] |
//! | the id of an answer that is not all there | [`head::id_span`] |
//! | newline-framed stdio in and out | [`LineReader`], [`Line`], [`stdio`] |
//! | exposed tool and prompt names of an agent | [`names::assign`], [`Assignments`], [`NewName`] |
//! | list results: take apart and put together | [`ListKind`], [`ListItem`], [`ListPage`], [`ListResult`] |
//! | capabilities of several upstreams in one | [`Capabilities`] |
//!
//! # A call through the gateway
//! ```
//! use agentopia_mcp::{Envelope, Field, Id, Kind, Limits, Splice, jsonrpc};
//!
//! // 1. What the agent sent.
//! let body = br#"{"jsonrpc":"2.0","id":"a-1","method":"tools/call",
//!   "params":{"name":"time__now","arguments":{"n":12345678901234567890.10},"x-unknown":true}}"#;
//! let call = Envelope::scan(&body[..], &Limits::default()).unwrap();
//! assert_eq!(call.kind(), Kind::Request);
//! assert_eq!(call.method(), "tools/call");
//! assert_eq!(call.text(Field::ParamsName).as_deref(), Some("time__now"));
//!
//! // 2. What the upstream gets: its own name for the tool, our id for the hop; all else as it was.
//! let upstream_id = Id::from(7_u64);
//! let forwarded = Splice::new(&call)
//!     .id(&upstream_id)
//!     .set(Field::ParamsName, "now")
//!     .finish();
//! assert!(std::str::from_utf8(&forwarded).unwrap().contains("12345678901234567890.10"));
//!
//! // 3. The answer goes back under the agent's id.
//! let answer = br#"{"jsonrpc":"2.0","id":7,"result":{"content":[],"isError":false}}"#;
//! let answer = Envelope::scan(&answer[..], &Limits::default()).unwrap();
//! assert_eq!(answer.id().and_then(|id| id.as_u64()), Some(7));
//! let back = Splice::new(&answer).id(&call.id().unwrap()).finish();
//! assert!(back.starts_with(br#"{"jsonrpc":"2.0","id":"a-1","result""#));
//! ```
//!
//! Facts and rules that this implements: the project's `docs/` on the MCP gateway; rule numbers in
//! comments refer to them.

mod capabilities;
mod code;
mod envelope;
mod era;
pub mod head;
pub mod headers;
mod id;
mod json;
pub mod jsonrpc;
mod list;
pub mod names;
mod splice;
pub mod sse;
pub mod stdio;

pub use capabilities::Capabilities;
pub use code::ErrorCode;
pub use envelope::{Envelope, Field, Kind, Limits, ResultType, ScanError, batch_elements};
pub use era::{
    Era, ProtocolVersion, UnsupportedVersion, era_of, meta_key, method, negotiate_initialize,
    negotiate_modern, newest_common,
};
pub use headers::{ModernRequest, ParamHeaders, Refusal};
pub use id::Id;
pub use json::{Json, Member};
pub use jsonrpc::{ObjectWriter, RpcError};
pub use list::{ListItem, ListKind, ListPage, ListResult};
pub use names::{Assignments, NewName, Target};
pub use splice::Splice;
pub use sse::{SseError, SseEvent, SseParser};
pub use stdio::{Garbage, Line, LineReader};
