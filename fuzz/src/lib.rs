//! What bytes from outside must never do, as functions of those bytes that panic when they do.
//!
//! libFuzzer calls them (`script/fuzz`, `targets/`), and the tests call them with everything it ever found
//! worth keeping (`corpus/`), so that a mistake that was mended stays mended without a fuzzer.
//!
//! | function | what is read |
//! |---|---|
//! | [`envelope()`] | a JSON-RPC message, by the scanner and the splicer |
//! | [`sse()`] | a stream of Server-Sent Events, however it is cut into chunks |
//! | [`stdio()`] | a stream of lines, however it is cut into chunks |
//! | [`headers()`] | `Mcp-*` headers, encoded values and a tool's schema |
//! | [`http1()`] | HTTP/1.1 as a client or a server says it, however it is cut into chunks |
//! | [`request()`] | an HTTP request of a client, sealed ids and states included, by a whole gateway |
//! | [`answer()`] | an HTTP answer of a server, by a whole gateway |
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a panic is how a fuzzer is told"
)]

mod answer;
mod chunks;
mod envelope;
mod headers;
mod http1;
mod request;
mod rig;
mod sse;
mod stdio;

pub use answer::answer;
pub use envelope::envelope;
pub use headers::headers;
pub use http1::http1;
pub use request::request;
pub use sse::sse;
pub use stdio::stdio;
