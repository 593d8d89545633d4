//! Rules 3 and 4, a case each.

use super::*;
use crate::envelope::Limits;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#)
}

fn check(body: &str, headers: &[(&'static str, &[u8])]) -> Result<ModernRequest, Refusal> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    check_request(
        &map,
        &Envelope::scan(body.as_bytes(), &Limits::default()).unwrap(),
    )
}

const V: (&str, &[u8]) = ("mcp-protocol-version", b"2026-07-28");
const CALL: (&str, &[u8]) = ("mcp-method", b"tools/call");

#[test]
fn good_requests_pass() {
    let call = request("tools/call", &format!(r#""name":"caf\u00e9",{META}"#));
    assert!(check(&call, &[V, CALL, ("mcp-name", b"=?base64?Y2Fmw6k=?=")]).is_ok());
    let list = request("tools/list", META);
    assert!(check(&list, &[V, ("mcp-method", b"tools/list")]).is_ok());
    assert!(
        check(
            &list,
            &[V, ("mcp-method", b"tools/list"), ("mcp-name", b"ignored")]
        )
        .is_ok()
    );
    let task = request("tasks/get", &format!(r#""taskId":"t-1",{META}"#));
    assert!(
        check(
            &task,
            &[V, ("mcp-method", b"tasks/get"), ("mcp-name", b"t-1")]
        )
        .is_ok()
    );
    let note = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;
    assert!(
        check(
            note,
            &[V, ("mcp-method", b"notifications/roots/list_changed")]
        )
        .is_ok()
    );
}

#[test]
fn headers_that_lie_or_lack_are_32020() {
    let call = request("tools/call", &format!(r#""name":"now",{META}"#));
    let name: (&str, &[u8]) = ("mcp-name", b"now");
    let bad: &[&[(&str, &[u8])]] = &[
        &[],
        &[V],
        &[V, CALL],
        &[V, name],
        &[CALL, name],
        &[V, V, CALL, name],
        &[V, CALL, CALL, name],
        &[V, CALL, name, name],
        &[V, CALL, name, ("mcp-name", b"other")],
        &[("mcp-protocol-version", b"2025-11-25"), CALL, name],
        &[("mcp-protocol-version", b"\xff"), CALL, name],
        &[V, ("mcp-method", b"tools/list"), name],
        &[V, ("mcp-method", b"TOOLS/CALL"), name],
        &[V, CALL, ("mcp-name", b"Now")],
        &[V, CALL, ("mcp-name", b"")],
        &[V, CALL, ("mcp-name", b"=?base64?!!?=")],
        &[V, CALL, ("mcp-name", b"n\xf6w")],
    ];
    for headers in bad {
        let refusal = check(&call, headers).unwrap_err();
        assert_eq!(
            refusal.code(),
            ErrorCode::HEADER_MISMATCH,
            "{headers:?}: {refusal}"
        );
        assert_eq!(refusal.status(), 400);
    }
}

#[test]
fn meta_and_versions_have_their_own_codes() {
    let version = "io.modelcontextprotocol/protocolVersion";
    let list: (&str, &[u8]) = ("mcp-method", b"tools/list");
    for params in [
        String::new(),
        format!(r#""_meta":{{"{version}":"2026-07-28"}}"#),
        format!(r#""_meta":{{"{version}":5,"io.modelcontextprotocol/clientCapabilities":{{}}}}"#),
        format!(
            r#""_meta":{{"{version}":"2026-07-28","io.modelcontextprotocol/clientCapabilities":1}}"#
        ),
    ] {
        let refusal = check(&request("tools/list", &params), &[V, list]).unwrap_err();
        assert_eq!(refusal.code(), ErrorCode::INVALID_PARAMS, "{params}");
    }
    // Whatever a later revision has in `_meta`, it learns which ones we speak.
    let future = request(
        "tools/list",
        &format!(r#""_meta":{{"{version}":"2030-01-01"}}"#),
    );
    let refusal = check(&future, &[("mcp-protocol-version", b"2030-01-01"), list]).unwrap_err();
    assert_eq!(refusal.code(), ErrorCode::UNSUPPORTED_VERSION);
    let data = refusal
        .to_error()
        .data
        .unwrap()
        .to::<serde_json::Value>()
        .unwrap();
    assert_eq!(data["supported"][0], "2026-07-28");
    assert_eq!(data["requested"], "2030-01-01");
}

#[test]
fn params_are_copied_as_they_are() {
    let mut from = HeaderMap::new();
    from.append(
        "Mcp-Param-Region",
        HeaderValue::from_static("=?base64?eA==?="),
    );
    from.append(
        "Mcp-Param-Unheard-Of",
        HeaderValue::from_bytes(b"\xe9").unwrap(),
    );
    from.append("Authorization", HeaderValue::from_static("Bearer x"));
    let mut to = HeaderMap::new();
    copy_params(&from, &mut to);
    from.remove("Authorization");
    assert_eq!(to, from);
}
