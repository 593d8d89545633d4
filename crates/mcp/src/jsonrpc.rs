//! Messages that we write ourselves: answers, errors, requests to upstreams, notifications.
//!
//! Everything is written straight into one buffer. What passes through is not built here but
//! spliced ([`crate::Splice`]).

use crate::code::ErrorCode;
use crate::era::Era;
use crate::id::Id;
use crate::json::{Json, write_string};

/// A JSON-RPC error in the making or as received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// Code.
    pub code: ErrorCode,
    /// One sentence; for the client's eyes, so without internals.
    pub message: String,
    /// Anything more.
    pub data: Option<Json<'static>>,
}

impl RpcError {
    /// An error without data.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// Adds data.
    #[must_use]
    pub fn with_data(mut self, data: &serde_json::Value) -> Self {
        self.data = Some(Json::from(data).into_owned());
        self
    }

    /// -32601.
    #[must_use]
    pub fn method_not_found(method: &str) -> Self {
        Self::new(
            ErrorCode::METHOD_NOT_FOUND,
            format!("unknown method {method:?}"),
        )
    }

    /// -32602.
    #[must_use]
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::INVALID_PARAMS, message)
    }

    /// -32603.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::INTERNAL_ERROR, message)
    }

    /// Resource not found, with the code of the client's era.
    #[must_use]
    pub fn resource_not_found(uri: &str, era: Era) -> Self {
        Self::new(
            ErrorCode::RESOURCE_NOT_FOUND.for_era(era),
            "resource not found",
        )
        .with_data(&serde_json::json!({ "uri": uri }))
    }

    /// -32021; `required` is a client capabilities object.
    #[must_use]
    pub fn missing_client_capability(required: &serde_json::Value) -> Self {
        Self::new(
            ErrorCode::MISSING_CLIENT_CAPABILITY,
            "a required client capability is missing",
        )
        .with_data(&serde_json::json!({ "requiredCapabilities": required }))
    }

    /// The error of an error response, as it was received.
    #[must_use]
    pub fn received<B: AsRef<[u8]>>(envelope: &crate::Envelope<B>) -> Option<Self> {
        use crate::Field;
        Some(Self {
            code: envelope.error_code()?,
            message: envelope
                .text(Field::ErrorMessage)
                .unwrap_or_default()
                .into_owned(),
            data: envelope.raw(Field::ErrorData).map(Json::into_owned),
        })
    }

    /// The message. Without an id the member is left out, as MCP has it (JSON-RPC's `null` is
    /// refused by the official clients).
    #[must_use]
    pub fn to_message(&self, id: Option<&Id>) -> Vec<u8> {
        let mut error = ObjectWriter::new();
        error.raw("code", Json::trusted(self.code.0.to_string().into_bytes()));
        error.text("message", &self.message);
        if let Some(data) = &self.data {
            error.raw("data", data);
        }
        let mut message = start(id);
        message.raw("error", error.finish());
        message.into_bytes()
    }
}

impl From<&crate::ScanError> for RpcError {
    fn from(error: &crate::ScanError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// The answer to request `id`.
///
/// ```
/// use agentopia_mcp::{Id, Json, jsonrpc};
/// let pong = jsonrpc::response(&Id::from("a"), &Json::parse(b"{}").unwrap());
/// assert_eq!(pong, br#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
/// ```
#[must_use]
pub fn response(id: &Id, result: &Json<'_>) -> Vec<u8> {
    let mut message = start(Some(id));
    message.raw("result", result);
    message.into_bytes()
}

/// A request of ours.
#[must_use]
pub fn request(id: &Id, method: &str, params: Option<&Json<'_>>) -> Vec<u8> {
    call(Some(id), method, params)
}

/// A notification of ours.
#[must_use]
pub fn notification(method: &str, params: Option<&Json<'_>>) -> Vec<u8> {
    call(None, method, params)
}

/// `notifications/cancelled` for a request that we sent upstream.
#[must_use]
pub fn cancelled(id: &Id, reason: &str) -> Vec<u8> {
    let mut params = ObjectWriter::new();
    params.raw("requestId", id).text("reason", reason);
    notification(crate::method::CANCELLED, Some(&params.finish()))
}

/// `_meta` of a modern request: version, capabilities and name of the client.
#[must_use]
pub fn modern_meta(
    version: crate::ProtocolVersion,
    capabilities: &Json<'_>,
    client_info: &Json<'_>,
) -> Json<'static> {
    use crate::meta_key as key;
    let mut meta = ObjectWriter::new();
    meta.text(key::PROTOCOL_VERSION, version.as_str())
        .raw(key::CLIENT_INFO, client_info)
        .raw(key::CLIENT_CAPABILITIES, capabilities);
    meta.finish()
}

/// Begins a result object as modern clients want it: `resultType` and `_meta` with who we are. Add
/// the rest, then finish. For the session era begin with [`ObjectWriter::new`] (rule 19).
#[must_use]
pub fn modern_result(result_type: &str, server_info: &Json<'_>) -> ObjectWriter {
    let mut meta = ObjectWriter::new();
    meta.raw(crate::meta_key::SERVER_INFO, server_info);
    let mut result = ObjectWriter::new();
    result
        .text("resultType", result_type)
        .raw("_meta", meta.finish());
    result
}

fn start(id: Option<&Id>) -> ObjectWriter {
    let mut message = ObjectWriter::new();
    message.text("jsonrpc", "2.0");
    if let Some(id) = id {
        message.raw("id", id);
    }
    message
}

fn call(id: Option<&Id>, method: &str, params: Option<&Json<'_>>) -> Vec<u8> {
    let mut message = start(id);
    message.text("method", method);
    if let Some(params) = params {
        message.raw("params", params);
    }
    message.into_bytes()
}

/// Writes one JSON object, members in the order in which they are given. Don't give a key twice.
#[derive(Debug)]
pub struct ObjectWriter(Vec<u8>);

impl Default for ObjectWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ObjectWriter {
    /// An empty object.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![b'{'])
    }

    /// Adds a value.
    pub fn raw<'j>(&mut self, key: &str, value: impl Into<Json<'j>>) -> &mut Self {
        let value = value.into();
        self.key(key).extend_from_slice(value.as_bytes());
        self
    }

    /// Adds a string.
    pub fn text(&mut self, key: &str, text: &str) -> &mut Self {
        write_string(self.key(key), text);
        self
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        write_string(&mut self.0, key);
        self.0.push(b':');
        &mut self.0
    }

    /// The buffer, for arrays that are written piece by piece.
    pub(crate) fn open_array(&mut self, key: &str) -> &mut Vec<u8> {
        let out = self.key(key);
        out.push(b'[');
        out
    }

    /// The object.
    #[must_use]
    pub fn finish(self) -> Json<'static> {
        Json::trusted(self.into_bytes())
    }

    /// The object's text.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Envelope, Kind, Limits, ProtocolVersion};

    #[test]
    fn messages_are_what_a_scan_takes() {
        let empty = Json::parse(b"{}").unwrap();
        let id = Id::from(7);
        let error = RpcError::invalid_params("no \"x\"\n").with_data(&serde_json::json!([1]));
        let cases = [
            (response(&id, &empty), Kind::Response),
            (request(&id, "tools/list", Some(&empty)), Kind::Request),
            (
                notification("notifications/initialized", None),
                Kind::Notification,
            ),
            (cancelled(&id, "gone"), Kind::Notification),
            (error.to_message(Some(&id)), Kind::ErrorResponse),
            (error.to_message(None), Kind::ErrorResponse),
        ];
        for (text, kind) in cases {
            let envelope = Envelope::scan(text, &Limits::default()).unwrap();
            assert_eq!(envelope.kind(), kind);
            if kind == Kind::ErrorResponse {
                assert_eq!(RpcError::received(&envelope), Some(error.clone()));
            }
        }
    }

    #[test]
    fn modern_parts() {
        let info = Json::parse(br#"{"name":"agentopia","version":"1"}"#).unwrap();
        let empty = Json::parse(b"{}").unwrap();
        let meta = modern_meta(ProtocolVersion::LATEST, &empty, &info);
        assert_eq!(meta.members().count(), 3);
        let mut result = modern_result("complete", &info);
        result
            .raw("tools", Json::parse(b"[]").unwrap())
            .raw("ttlMs", 5);
        assert_eq!(
            result.finish().as_bytes(),
            br#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"agentopia","version":"1"}},"tools":[],"ttlMs":5}"#
        );
        assert_eq!(ObjectWriter::new().finish().as_bytes(), b"{}");
        let missing = RpcError::resource_not_found("a://b", Era::Modern);
        assert_eq!(missing.code, ErrorCode::INVALID_PARAMS);
    }
}
