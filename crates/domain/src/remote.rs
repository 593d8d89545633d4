//! Servers that run elsewhere and are reached by their address: instances without a container.
//!
//! What is said here is fixed when the instance is deployed: a credential that was given for one address
//! never goes to another one, whatever becomes of the catalog entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

const OPENS: &str = "${secret:";

/// Headers that are the transport's own, or the gateway's. `mcp-…` and `agentopia-…` are too.
const NOT_OURS: [&str; 18] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Where a remote server is and what it is shown with every request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteServer {
    /// Its endpoint; of HTTP+SSE its event stream.
    pub url: Url,
    /// Headers that go with every request; values may refer to secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How it speaks.
    #[serde(default, skip_serializing_if = "RemoteTransport::is_default")]
    pub transport: RemoteTransport,
}

/// How a remote server speaks MCP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemoteTransport {
    /// Streamable HTTP, of any revision.
    #[default]
    StreamableHttp,
    /// HTTP+SSE, the transport of 2024-11-05.
    Sse,
}

impl RemoteTransport {
    /// Whether it need not be said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A piece of a header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// The value of the secret of this name.
    Secret(&'a str),
}

/// Takes `Bearer ${secret:TOKEN}` apart.
///
/// # Errors
/// Where a reference has no end.
pub fn pieces(value: &str) -> Result<Vec<Piece<'_>>, &'static str> {
    let mut pieces = Vec::new();
    let mut rest = value;
    while let Some((text, after)) = rest.split_once(OPENS) {
        let (name, after) = after
            .split_once('}')
            .ok_or("close the reference: ${secret:NAME}")?;
        pieces.extend((!text.is_empty()).then_some(Piece::Text(text)));
        pieces.push(Piece::Secret(name));
        rest = after;
    }
    pieces.extend((!rest.is_empty()).then_some(Piece::Text(rest)));
    Ok(pieces)
}

/// Whether a header may be set and its value means something; `secrets` are the names it may refer to.
///
/// # Errors
/// What is wrong, for people.
pub fn check_header(name: &str, value: &str, secrets: &[&str]) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if name.is_empty() || name.len() > 128 || !name.bytes().all(is_token) {
        return Err("name a header with letters, digits, `-` and `_`".to_owned());
    }
    if NOT_OURS.contains(&lower.as_str())
        || lower.starts_with("mcp-")
        || lower.starts_with("agentopia-")
    {
        return Err(format!("{name} is set by the transport itself"));
    }
    if !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err("use printable ASCII characters".to_owned());
    }
    for piece in pieces(value)? {
        if let Piece::Secret(secret) = piece
            && !secrets.contains(&secret)
        {
            return Err(format!(
                "list the secret {secret} among the entry's `secrets`"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_and_references() {
        use Piece::{Secret, Text};
        assert_eq!(
            pieces("Bearer ${secret:TOKEN}").unwrap(),
            [Text("Bearer "), Secret("TOKEN")]
        );
        assert_eq!(
            pieces("${secret:A}:${secret:B}!").unwrap(),
            [Secret("A"), Text(":"), Secret("B"), Text("!")]
        );
        assert_eq!(pieces("plain $ {}").unwrap(), [Text("plain $ {}")]);
        assert_eq!(pieces("").unwrap(), []);
        assert!(pieces("x ${secret:TOKEN").is_err());
    }

    #[test]
    fn headers_of_the_transport_and_unknown_secrets_are_refused() {
        assert!(check_header("Authorization", "Bearer ${secret:T}", &["T"]).is_ok());
        assert!(check_header("X-Team", "a b", &[]).is_ok());
        for (name, value) in [
            ("Host", "x"),
            ("Content-Length", "1"),
            ("transfer-encoding", "chunked"),
            ("Mcp-Session-Id", "1"),
            ("agentopia-session-key", "1"),
            ("", "x"),
            ("a b", "x"),
            ("X\r\nY", "x"),
            ("X-A", "a\r\nb: c"),
            ("X-A", "${secret:OTHER}"),
            ("X-A", "${secret:T"),
        ] {
            assert!(
                check_header(name, value, &["T"]).is_err(),
                "{name}: {value}"
            );
        }
    }
}
