//! What the headers of a POST must say, and where it may come from.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::message::Request;
use crate::era::{MODERN_VERSION, SESSION_VERSIONS, stated_version};
use crate::rpc::{Error, HEADER_MISMATCH, INVALID_PARAMS, UNSUPPORTED_VERSION};

/// A browser says in `Origin` which page asks. Pages of other sites may not (DNS rebinding).
pub(super) fn origin_allowed(request: &Request) -> bool {
    let host = request.header("host").unwrap_or_default();
    request.all("origin").all(|origin| {
        let authority = origin
            .split_once("://")
            .map_or("", |(_, authority)| authority);
        let name = authority
            .rsplit_once(':')
            .map_or(authority, |(name, port)| {
                if port.bytes().all(|b| b.is_ascii_digit()) {
                    name
                } else {
                    authority
                }
            });
        matches!(name, "localhost" | "127.0.0.1" | "[::1]")
            || (!authority.is_empty() && authority == host)
    })
}

/// 2026-07-28: the headers of a request repeat its version, method and object.
pub(super) fn modern(request: &Request, method: &str, params: &Value) -> Result<(), Error> {
    let version = match stated_version(params) {
        Some(version) => version,
        None => {
            return Err(Error::new(
                INVALID_PARAMS,
                "_meta needs the protocol version",
            ));
        }
    };
    matches(request, "mcp-protocol-version", version)?;
    matches(request, "mcp-method", method)?;
    let named = match method {
        "tools/call" | "prompts/get" => &params["name"],
        "resources/read" => &params["uri"],
        _ => return Ok(()),
    };
    match named.as_str() {
        Some(name) => matches(request, "mcp-name", name),
        None => Ok(()), // The method itself says what is missing.
    }
}

fn matches(request: &Request, header: &str, expected: &str) -> Result<(), Error> {
    let mismatch = |what| Err(Error::new(HEADER_MISMATCH, format!("{header}: {what}")));
    let mut values = request.all(header);
    match (values.next(), values.next()) {
        (None, _) => mismatch("the header is missing"),
        (Some(_), Some(_)) => mismatch("the header is there twice"),
        (Some(value), None) => match decode(value) {
            Some(value) if value == expected => Ok(()),
            Some(_) => mismatch("header and body differ"),
            None => mismatch("the header cannot be decoded"),
        },
    }
}

/// `=?base64?…?=` stands for what cannot be written in a header.
fn decode(value: &str) -> Option<String> {
    match value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// Whether a request is of the modern era: its body says so, or only its header does.
pub(super) fn is_modern(request: &Request, method: &str, params: &Value) -> bool {
    method == "server/discover"
        || params["_meta"]
            .get("io.modelcontextprotocol/protocolVersion")
            .is_some()
        || request.header("mcp-protocol-version") == Some(MODERN_VERSION)
}

/// In a session, the header (since 2025-06-18) names a version that we know.
pub(super) fn session_version(request: &Request) -> Result<(), Error> {
    match request.header("mcp-protocol-version") {
        Some(version) if !SESSION_VERSIONS.contains(&version) => Err(Error::new(
            UNSUPPORTED_VERSION,
            format!("unsupported protocol version {version}"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pages_of_other_sites_are_turned_away() {
        let allowed = |origin| {
            let headers = [("host", "tool.internal:8080"), ("origin", origin)];
            origin_allowed(&Request::with_headers(&headers))
        };
        for origin in [
            "http://tool.internal:8080",
            "http://localhost",
            "http://127.0.0.1:3000",
            "http://[::1]:1",
        ] {
            assert!(allowed(origin), "{origin}");
        }
        for origin in [
            "http://evil.example",
            "null",
            "",
            "http://",
            "http://localhost.evil.example",
        ] {
            assert!(!allowed(origin), "{origin}");
        }
        assert!(origin_allowed(&Request::with_headers(&[])));
    }

    #[test]
    fn headers_say_what_the_body_says() {
        let params = json!({
            "name": "écho",
            "_meta": { "io.modelcontextprotocol/protocolVersion": MODERN_VERSION },
        });
        let check = |headers: &[(&str, &str)]| {
            modern(&Request::with_headers(headers), "tools/call", &params).map_err(|e| e.code)
        };
        let version = ("mcp-protocol-version", MODERN_VERSION);
        let method = ("mcp-method", "tools/call");
        let name = ("mcp-name", "=?base64?w6ljaG8=?=");
        assert_eq!(check(&[version, method, name]), Ok(()));
        assert_eq!(check(&[version, method]), Err(HEADER_MISMATCH));
        assert_eq!(check(&[version, method, name, name]), Err(HEADER_MISMATCH));
        assert_eq!(
            check(&[version, method, ("mcp-name", "other")]),
            Err(HEADER_MISMATCH)
        );
        assert_eq!(
            check(&[version, method, ("mcp-name", "=?base64?%?=")]),
            Err(HEADER_MISMATCH)
        );
        assert_eq!(
            check(&[version, ("mcp-method", "x"), name]),
            Err(HEADER_MISMATCH)
        );
        assert_eq!(check(&[method, name]), Err(HEADER_MISMATCH));
    }
}
