//! JSON-RPC: telling messages apart, and making answers.

use serde_json::{Value, json};

pub(crate) const PARSE_ERROR: i64 = -32700;
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const INTERNAL: i64 = -32603;
/// 2026-07-28: a header does not say what the body says.
pub(crate) const HEADER_MISMATCH: i64 = -32020;
/// 2026-07-28: `data.supported` lists what would be.
pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;

/// A message from a client.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    /// Wants an answer.
    Request(Request<'a>),
    /// Wants none.
    Notification { method: &'a str, params: &'a Value },
    /// An answer. We ask nothing, so nobody waits for it.
    Response,
}

/// A request. `params` is null if there are none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) id: &'a Value,
    pub(crate) method: &'a str,
    pub(crate) params: &'a Value,
}

/// An error answer without the request's id.
#[derive(Debug, PartialEq)]
pub(crate) struct Error {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl Error {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }
}

/// Tells what a message is.
pub(crate) fn read(message: &Value) -> Result<Incoming<'_>, Error> {
    let invalid = |why| Err(Error::new(INVALID_REQUEST, why));
    if message.is_array() {
        return invalid("batches are not supported: send one message at a time");
    }
    if message["jsonrpc"] != "2.0" {
        return invalid("not a JSON-RPC 2.0 message");
    }
    let params = &message["params"];
    if !(params.is_object() || params.is_null()) {
        return invalid("params must be an object");
    }
    let id = &message["id"];
    match message["method"].as_str() {
        Some(method) if message.get("id").is_none() => {
            Ok(Incoming::Notification { method, params })
        }
        Some(method) if id.is_string() || id.is_i64() || id.is_u64() => {
            Ok(Incoming::Request(Request { id, method, params }))
        }
        Some(_) => invalid("the id must be a string or an integer"),
        None if message.get("result").is_some() || message.get("error").is_some() => {
            Ok(Incoming::Response)
        }
        None => invalid("neither method nor result nor error"),
    }
}

/// A successful answer.
pub(crate) fn success(id: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// An error answer; `id` null if it could not be read.
pub(crate) fn failure(id: &Value, error: Error) -> Value {
    let mut body = json!({ "code": error.code, "message": error.message });
    if let Some(data) = error.data {
        body["data"] = data;
    }
    json!({ "jsonrpc": "2.0", "id": id, "error": body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_notifications_and_responses_are_told_apart() {
        let request = json!({ "jsonrpc": "2.0", "id": "a", "method": "m" });
        assert!(matches!(
            read(&request),
            Ok(Incoming::Request(Request { method: "m", .. }))
        ));
        let notification = json!({ "jsonrpc": "2.0", "method": "m" });
        assert!(matches!(
            read(&notification),
            Ok(Incoming::Notification { .. })
        ));
        let response = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
        assert!(matches!(read(&response), Ok(Incoming::Response)));
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for message in [
            json!([]),
            json!(1),
            json!({ "id": 1, "method": "m" }),
            json!({ "jsonrpc": "2.0", "id": null, "method": "m" }),
            json!({ "jsonrpc": "2.0", "id": 1.5, "method": "m" }),
            json!({ "jsonrpc": "2.0", "id": 1, "method": "m", "params": [] }),
            json!({ "jsonrpc": "2.0", "id": 1 }),
        ] {
            assert_eq!(
                read(&message).unwrap_err().code,
                INVALID_REQUEST,
                "{message}"
            );
        }
    }
}
