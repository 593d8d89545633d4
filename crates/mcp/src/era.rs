//! Protocol revisions and the two eras that they fall into.
//!
//! Session era: `initialize`, a session id, streams. Modern era (from 2026-07-28): every request
//! carries version and capabilities in `_meta`, nothing is remembered between requests. One URL
//! serves both (rule 1): [`era_of`] tells them apart by the message.

use std::fmt;

use crate::envelope::{Envelope, Field};
use crate::headers::PROTOCOL_VERSION;

/// Which of the two ways of talking a peer uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// `initialize` and sessions: 2024-11-05 to 2025-11-25.
    Session,
    /// Stateless: 2026-07-28.
    Modern,
}

/// A revision of the specification that we speak, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProtocolVersion {
    /// HTTP+SSE.
    V2024_11_05,
    /// Streamable HTTP; the only one with batches. Assumed where a session-era request has no header.
    V2025_03_26,
    /// `MCP-Protocol-Version` header, elicitation.
    V2025_06_18,
    /// The last one with sessions.
    V2025_11_25,
    /// Stateless.
    V2026_07_28,
}

impl ProtocolVersion {
    /// All of them, newest first, as discover and error data list them.
    pub const ALL: [Self; 5] = [
        Self::V2026_07_28,
        Self::V2025_11_25,
        Self::V2025_06_18,
        Self::V2025_03_26,
        Self::V2024_11_05,
    ];
    /// The newest.
    pub const LATEST: Self = Self::V2026_07_28;
    /// The newest that `initialize` can end in.
    pub const LATEST_SESSION: Self = Self::V2025_11_25;
    /// What a session-era HTTP request without the version header speaks.
    pub const ASSUMED: Self = Self::V2025_03_26;

    /// The text on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision with this name, if we speak it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
    }

    /// The era that it belongs to.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2026_07_28 => Era::Modern,
            _ => Era::Session,
        }
    }

    /// Whether a JSON array of messages is a message in this revision.
    #[must_use]
    pub const fn has_batches(self) -> bool {
        matches!(self, Self::V2025_03_26)
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A modern request names a revision that we don't serve statelessly: -32022 (rule 4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("protocol version {requested:?} is not supported")]
pub struct UnsupportedVersion {
    /// What it asked for.
    pub requested: String,
}

/// The version that our answer to `initialize` names: the one asked for if it has sessions, else
/// the newest that does; the client decides whether it can live with that.
#[must_use]
pub fn negotiate_initialize(requested: &str) -> ProtocolVersion {
    ProtocolVersion::parse(requested)
        .filter(|version| version.era() == Era::Session)
        .unwrap_or(ProtocolVersion::LATEST_SESSION)
}

/// The version of a modern request, if we serve it.
///
/// # Errors
/// [`UnsupportedVersion`] for everything else, revisions with sessions included: those begin with
/// `initialize`.
pub fn negotiate_modern(requested: &str) -> Result<ProtocolVersion, UnsupportedVersion> {
    ProtocolVersion::parse(requested)
        .filter(|version| version.era() == Era::Modern)
        .ok_or_else(|| UnsupportedVersion {
            requested: requested.to_owned(),
        })
}

/// The newest revision of `era` that is in an upstream's `supportedVersions` (or an error's
/// `data.supported`) and that we speak.
pub fn newest_common<'v>(
    supported: impl IntoIterator<Item = &'v str>,
    era: Era,
) -> Option<ProtocolVersion> {
    supported
        .into_iter()
        .filter_map(ProtocolVersion::parse)
        .filter(|v| v.era() == era)
        .max()
}

/// The era of a message that came in over HTTP, from message and `MCP-Protocol-Version` header.
///
/// Modern: its `_meta` has the version, or it is `server/discover`, or the header names a revision
/// from 2026-07-28 on, also one that we don't know (revisions are dates and compare as text), so
/// that it gets the modern error. `initialize` is session era, whatever the header says, unless only
/// its `_meta` names a version: then it is modern, which has no such method. So is all the rest.
/// Whether what claims to be modern is sound is for [`crate::headers::check_request`].
#[must_use]
pub fn era_of<B: AsRef<[u8]>>(envelope: &Envelope<B>, headers: &http::HeaderMap) -> Era {
    let method = envelope.method();
    if method == method::INITIALIZE {
        let is_modern =
            envelope.has(Field::MetaProtocolVersion) && !envelope.has(Field::ParamsProtocolVersion);
        return if is_modern { Era::Modern } else { Era::Session };
    }
    if envelope.has(Field::MetaProtocolVersion) || method == method::DISCOVER {
        return Era::Modern;
    }
    let modern = ProtocolVersion::V2026_07_28.as_str().as_bytes();
    let looks_modern = |value: &http::HeaderValue| {
        let value = value.as_bytes();
        value.len() == modern.len() && value[0].is_ascii_digit() && value >= modern
    };
    if headers.get_all(PROTOCOL_VERSION).iter().any(looks_modern) {
        Era::Modern
    } else {
        Era::Session
    }
}

/// Reserved keys of `_meta`.
pub mod meta_key {
    /// Version of a modern request.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// Capabilities of the client of a modern request.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Who the client is.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Least level of log messages wanted.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// The listen request that a message belongs to.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// Who the server is.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// W3C trace context.
    pub const TRACESTATE: &str = "tracestate";
    /// W3C baggage.
    pub const BAGGAGE: &str = "baggage";
}

/// Methods that somebody acts on.
pub mod method {
    /// Opens a session.
    pub const INITIALIZE: &str = "initialize";
    /// The client is ready.
    pub const INITIALIZED: &str = "notifications/initialized";
    /// What the server can do (modern).
    pub const DISCOVER: &str = "server/discover";
    /// Are you there (session era).
    pub const PING: &str = "ping";
    /// Lists tools.
    pub const TOOLS_LIST: &str = "tools/list";
    /// Calls a tool.
    pub const TOOLS_CALL: &str = "tools/call";
    /// Lists resources.
    pub const RESOURCES_LIST: &str = "resources/list";
    /// Lists resource templates.
    pub const RESOURCE_TEMPLATES_LIST: &str = "resources/templates/list";
    /// Reads a resource.
    pub const RESOURCES_READ: &str = "resources/read";
    /// Wants updates of a resource (session era).
    pub const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";
    /// No more updates (session era).
    pub const RESOURCES_UNSUBSCRIBE: &str = "resources/unsubscribe";
    /// Lists prompts.
    pub const PROMPTS_LIST: &str = "prompts/list";
    /// Gets a prompt.
    pub const PROMPTS_GET: &str = "prompts/get";
    /// Completes an argument.
    pub const COMPLETE: &str = "completion/complete";
    /// Sets the log level (session era).
    pub const SET_LEVEL: &str = "logging/setLevel";
    /// Opens a stream of changes (modern).
    pub const LISTEN: &str = "subscriptions/listen";
    /// The stream is open (modern).
    pub const LISTEN_ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
    /// State of a task.
    pub const TASKS_GET: &str = "tasks/get";
    /// Input for a task.
    pub const TASKS_UPDATE: &str = "tasks/update";
    /// Stops a task.
    pub const TASKS_CANCEL: &str = "tasks/cancel";
    /// Server asks the user.
    pub const ELICITATION: &str = "elicitation/create";
    /// Server asks the model.
    pub const SAMPLING: &str = "sampling/createMessage";
    /// Server asks for the client's folders.
    pub const ROOTS_LIST: &str = "roots/list";
    /// Stop a request.
    pub const CANCELLED: &str = "notifications/cancelled";
    /// How far a request is.
    pub const PROGRESS: &str = "notifications/progress";
    /// Log message.
    pub const MESSAGE: &str = "notifications/message";
    /// Tools changed.
    pub const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
    /// Resources changed.
    pub const RESOURCES_CHANGED: &str = "notifications/resources/list_changed";
    /// Prompts changed.
    pub const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
    /// One resource changed.
    pub const RESOURCE_UPDATED: &str = "notifications/resources/updated";
    /// The client's folders changed.
    pub const ROOTS_CHANGED: &str = "notifications/roots/list_changed";

    /// Methods that the modern era dropped: a modern client gets -32601 for them (rule 4).
    pub const SESSION_ONLY: &[&str] = &[
        INITIALIZE,
        PING,
        SET_LEVEL,
        RESOURCES_SUBSCRIBE,
        RESOURCES_UNSUBSCRIBE,
    ];
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::envelope::Limits;

    #[test]
    fn versions_negotiate() {
        use ProtocolVersion as V;
        assert_eq!(negotiate_initialize("2025-06-18"), V::V2025_06_18);
        assert_eq!(negotiate_initialize("2026-07-28"), V::V2025_11_25);
        assert_eq!(negotiate_initialize("1999-01-01"), V::V2025_11_25);
        assert_eq!(negotiate_modern("2026-07-28"), Ok(V::V2026_07_28));
        assert!(negotiate_modern("2025-11-25").is_err());
        assert!(negotiate_modern("2027-01-01").is_err());
        let offered = ["2025-03-26", "2099-01-01", "2026-07-28", "2025-11-25"];
        assert_eq!(newest_common(offered, Era::Modern), Some(V::V2026_07_28));
        assert_eq!(newest_common(offered, Era::Session), Some(V::V2025_11_25));
        assert_eq!(newest_common(["x"], Era::Session), None);
        assert!(
            V::ALL
                .windows(2)
                .all(|pair| pair[0] > pair[1] && pair[0].as_str() > pair[1].as_str())
        );
    }

    #[test]
    fn one_url_tells_the_eras_apart() {
        let era = |text: &str, version: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(version) = version {
                headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(version));
            }
            era_of(
                &Envelope::scan(text.as_bytes(), &Limits::default()).unwrap(),
                &headers,
            )
        };
        let init = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}"#;
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let modern = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert_eq!(era(init, Some("2026-07-28")), Era::Session);
        assert_eq!(
            era(
                &init.replace("\"params\":{", &format!("\"params\":{{{meta},")),
                None
            ),
            Era::Session
        );
        let only_meta = init.replace("\"protocolVersion\":\"2026-07-28\"", meta);
        assert_eq!(era(&only_meta, None), Era::Modern);
        assert_eq!(era(list, None), Era::Session);
        assert_eq!(era(list, Some("2025-11-25")), Era::Session);
        assert_eq!(era(list, Some("2026-07-28")), Era::Modern);
        assert_eq!(era(list, Some("2027-01-01")), Era::Modern);
        assert_eq!(era(list, Some("whatever!!")), Era::Session);
        assert_eq!(era(modern, None), Era::Modern);
        assert_eq!(
            era(
                r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#,
                None
            ),
            Era::Modern
        );
    }
}
