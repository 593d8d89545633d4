//! The two eras of the protocol: sessions (2024-11-05 to 2025-11-25), and the modern one
//! (2026-07-28), in which each request stands alone and says its version in `_meta`.

use serde_json::{Value, json};

use crate::rpc::{Error, INVALID_PARAMS, Request, UNSUPPORTED_VERSION};

/// Revisions with `initialize`, oldest first.
pub(crate) const SESSION_VERSIONS: [&str; 4] =
    ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The revision without sessions.
pub(crate) const MODERN_VERSION: &str = "2026-07-28";

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const SERVER_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// How long a modern client may keep a list: nothing of ours changes while the server runs.
const TTL_MS: u64 = 300_000;

/// Which rules an answer follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    Session,
    Modern,
}

/// The version that a request says in `_meta`.
pub(crate) fn stated_version(params: &Value) -> Option<&str> {
    params["_meta"][VERSION_KEY].as_str()
}

/// The era of a request; an error if it is modern and lacks what that era asks for.
pub(crate) fn of(request: &Request<'_>) -> Result<Era, Error> {
    let meta = &request.params["_meta"];
    let stated = meta.get(VERSION_KEY).is_some();
    if !stated && request.method != "server/discover" {
        return Ok(Era::Session);
    }
    let version = stated_version(request.params)
        .ok_or_else(|| Error::new(INVALID_PARAMS, format!("_meta needs {VERSION_KEY}")))?;
    if version != MODERN_VERSION {
        let data = json!({ "supported": [MODERN_VERSION], "requested": version });
        let message = "Unsupported protocol version".to_owned();
        return Err(Error {
            code: UNSUPPORTED_VERSION,
            message,
            data: Some(data),
        });
    }
    if !meta[CAPABILITIES_KEY].is_object() {
        return Err(Error::new(
            INVALID_PARAMS,
            format!("_meta needs {CAPABILITIES_KEY}"),
        ));
    }
    Ok(Era::Modern)
}

/// The version of a new session: the one asked for, or the newest that has sessions.
pub(crate) fn negotiate(requested: &Value) -> &'static str {
    let newest = SESSION_VERSIONS[SESSION_VERSIONS.len() - 1];
    SESSION_VERSIONS
        .into_iter()
        .find(|version| requested == version)
        .unwrap_or(newest)
}

/// Adds what a modern result carries besides its content.
pub(crate) fn dress(method: &str, mut result: Value, server_info: &Value) -> Value {
    result["resultType"] = json!("complete");
    result["_meta"] = json!({ SERVER_KEY: server_info });
    if method.ends_with("/list") || matches!(method, "server/discover" | "resources/read") {
        result["ttlMs"] = json!(TTL_MS);
        // The greeting is the configuration of this instance, maybe of one account.
        result["cacheScope"] = json!("private");
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn era(method: &str, meta: Value) -> Result<Era, i64> {
        let params = json!({ "_meta": meta });
        of(&Request {
            id: &json!(1),
            method,
            params: &params,
        })
        .map_err(|error| error.code)
    }

    #[test]
    fn the_era_is_in_the_request() {
        assert_eq!(era("tools/list", json!({})), Ok(Era::Session));
        assert_eq!(
            era("tools/list", json!({ "progressToken": 1 })),
            Ok(Era::Session)
        );
        let full = json!({ VERSION_KEY: MODERN_VERSION, CAPABILITIES_KEY: {} });
        assert_eq!(era("tools/list", full), Ok(Era::Modern));
    }

    #[test]
    fn an_incomplete_modern_request_is_refused() {
        assert_eq!(era("server/discover", json!({})), Err(INVALID_PARAMS));
        assert_eq!(
            era("tools/list", json!({ VERSION_KEY: MODERN_VERSION })),
            Err(INVALID_PARAMS)
        );
        assert_eq!(
            era("tools/list", json!({ VERSION_KEY: 1 })),
            Err(INVALID_PARAMS)
        );
        let unknown = json!({ VERSION_KEY: "2099-01-01", CAPABILITIES_KEY: {} });
        assert_eq!(era("tools/list", unknown), Err(UNSUPPORTED_VERSION));
    }

    #[test]
    fn an_unknown_version_gets_the_newest_with_sessions() {
        assert_eq!(negotiate(&json!("2025-03-26")), "2025-03-26");
        assert_eq!(negotiate(&json!("1999-01-01")), "2025-11-25");
        assert_eq!(negotiate(&json!(MODERN_VERSION)), "2025-11-25");
        assert_eq!(negotiate(&Value::Null), "2025-11-25");
    }
}
