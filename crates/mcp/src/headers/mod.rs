//! The HTTP headers of MCP: names, the check of a modern request against its body (rules 3, 4), and
//! what to send to a modern upstream (rule 6).
//!
//! Headers let middle boxes route without reading bodies, so a header that says something else
//! than the body is an attack or a bug: it is refused before any upstream hears of it.
//! `params` does the same for tool arguments that are mirrored into `Mcp-Param-*`.

mod params;
mod value;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

pub use params::{ParamHeader, ParamHeaders, misannotated};
pub use value::{decode_value, encode_value};

use crate::code::ErrorCode;
use crate::envelope::{Envelope, Field, Kind};
use crate::era::{ProtocolVersion, meta_key, negotiate_modern};
use crate::jsonrpc::RpcError;

/// `MCP-Protocol-Version`.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Mcp-Method`.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// `Mcp-Name`.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// `Mcp-Session-Id` (session era).
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// `Last-Event-ID` (session era).
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Prefix of `Mcp-Param-*`, in lower case as [`HeaderName`] has it.
pub const PARAM_PREFIX: &str = "mcp-param-";

/// A modern request that passed the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModernRequest {
    /// Its version.
    pub version: ProtocolVersion,
}

/// Why a modern request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header that every modern message has is missing.
    #[error("the header {header} is missing")]
    MissingHeader {
        /// Which.
        header: HeaderName,
    },
    /// A header is there more than once.
    #[error("the header {header} is there more than once")]
    DuplicateHeader {
        /// Which.
        header: HeaderName,
    },
    /// A header is not printable ASCII or not the base64 it says it is.
    #[error("the header {header} has no valid value")]
    InvalidHeader {
        /// Which.
        header: HeaderName,
    },
    /// Header and body differ.
    #[error("the header {header} does not match the body")]
    Mismatch {
        /// Which.
        header: HeaderName,
    },
    /// `_meta` lacks a field that every modern request has, or it has the wrong type.
    #[error("params._meta[\"{field}\"] is missing or not valid")]
    MissingMeta {
        /// Which.
        field: &'static str,
    },
    /// A version that we don't serve.
    #[error("protocol version {requested:?} is not supported")]
    UnsupportedVersion {
        /// What was asked for.
        requested: String,
    },
}

impl Refusal {
    /// The JSON-RPC code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::MissingMeta { .. } => ErrorCode::INVALID_PARAMS,
            Self::UnsupportedVersion { .. } => ErrorCode::UNSUPPORTED_VERSION,
            _ => ErrorCode::HEADER_MISMATCH,
        }
    }

    /// The HTTP status: always 400.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }

    /// The error to answer with; the one about versions lists ours.
    #[must_use]
    pub fn to_error(&self) -> RpcError {
        let error = RpcError::new(self.code(), self.to_string());
        match self {
            Self::UnsupportedVersion { requested } => error.with_data(&serde_json::json!({
                "supported": ProtocolVersion::ALL.map(ProtocolVersion::as_str),
                "requested": requested,
            })),
            _ => error,
        }
    }
}

/// Checks a message whose era is modern (see [`crate::era_of`]): `_meta`, version, `Mcp-Method`,
/// `Mcp-Name`. `Mcp-Param-*` need the tool's schema: [`ParamHeaders::check`].
///
/// ```
/// use agentopia_mcp::{Envelope, Limits, headers};
/// let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"now","arguments":{},
///   "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
///            "io.modelcontextprotocol/clientCapabilities":{}}}}"#;
/// let call = Envelope::scan(&body[..], &Limits::default()).unwrap();
/// let mut map = http::HeaderMap::new();
/// let refused = headers::check_request(&map, &call).unwrap_err();
/// assert_eq!((refused.status().as_u16(), refused.code().0), (400, -32020));
/// headers::set_standard(&mut map, agentopia_mcp::ProtocolVersion::LATEST, &call);
/// assert!(headers::check_request(&map, &call).is_ok());
/// ```
///
/// # Errors
/// The first thing that is wrong.
pub fn check_request<B: AsRef<[u8]>>(
    headers: &HeaderMap,
    envelope: &Envelope<B>,
) -> Result<ModernRequest, Refusal> {
    let in_body = envelope.text(Field::MetaProtocolVersion);
    let is_request = envelope.kind() == Kind::Request;
    if is_request && in_body.is_none() {
        return Err(Refusal::MissingMeta {
            field: meta_key::PROTOCOL_VERSION,
        });
    }
    let in_header = required(headers, &PROTOCOL_VERSION)?;
    if in_body
        .as_deref()
        .is_some_and(|version| version != in_header)
    {
        return Err(Refusal::Mismatch {
            header: PROTOCOL_VERSION,
        });
    }
    // Before anything that a later revision may do differently.
    let version = negotiate_modern(in_header).map_err(|e| Refusal::UnsupportedVersion {
        requested: e.requested,
    })?;
    if is_request
        && !envelope
            .raw(Field::MetaClientCapabilities)
            .is_some_and(|c| c.is_object())
    {
        return Err(Refusal::MissingMeta {
            field: meta_key::CLIENT_CAPABILITIES,
        });
    }
    let method = envelope.method();
    if required(headers, &METHOD)? != method {
        return Err(Refusal::Mismatch { header: METHOD });
    }
    if let Some(name) = name_of(envelope) {
        let value = single(headers, &NAME)?.ok_or(Refusal::MissingHeader { header: NAME })?;
        let sent = decode_value(value).ok_or(Refusal::InvalidHeader { header: NAME })?;
        if sent != name {
            return Err(Refusal::Mismatch { header: NAME });
        }
    }
    Ok(ModernRequest { version })
}

/// The member of params that `Mcp-Name` mirrors for a method.
#[must_use]
pub fn name_field(method: &str) -> Option<Field> {
    match method {
        "tools/call" | "prompts/get" => Some(Field::ParamsName),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            Some(Field::ParamsUri)
        }
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some(Field::ParamsTaskId),
        _ => None,
    }
}

/// What `Mcp-Name` has to say about a message, if anything.
#[must_use]
pub fn name_of<B: AsRef<[u8]>>(envelope: &Envelope<B>) -> Option<std::borrow::Cow<'_, str>> {
    name_field(&envelope.method()).and_then(|field| envelope.text(field))
}

/// Sets version, method and name for a message on its way to a modern upstream, from the message
/// itself, so that they agree whatever was spliced (rule 6). Older values go.
pub fn set_standard<B: AsRef<[u8]>>(
    headers: &mut HeaderMap,
    version: ProtocolVersion,
    envelope: &Envelope<B>,
) {
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(version.as_str()));
    headers.insert(METHOD, encode_value(&envelope.method()));
    match name_of(envelope) {
        Some(name) => headers.insert(NAME, encode_value(&name)),
        None => headers.remove(NAME),
    };
}

/// Copies every `Mcp-Param-*` header as it is, known or not (rule 6).
pub fn copy_params(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if name.as_str().starts_with(PARAM_PREFIX) {
            to.append(name, value.clone());
        }
    }
}

/// The value of a header that may be there once.
fn single<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        Some(_) => Err(Refusal::DuplicateHeader {
            header: name.clone(),
        }),
        None => Ok(first),
    }
}

/// The text of a header that has to be there once.
fn required<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Refusal> {
    single(headers, name)?
        .ok_or_else(|| Refusal::MissingHeader {
            header: name.clone(),
        })?
        .to_str()
        .map_err(|_| Refusal::InvalidHeader {
            header: name.clone(),
        })
}

#[cfg(test)]
mod tests;
