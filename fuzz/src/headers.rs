//! Headers: any text survives the way through a header, and whatever we set is what we accept.
//!
//! The input: lines. The first is a header value, the second a tool's schema, the third a call, the others
//! are headers (`name: value`).

use agentopia_mcp::headers::{decode_value, encode_value, misannotated};
use agentopia_mcp::{Envelope, Json, Limits, ParamHeaders, ProtocolVersion, headers as mcp};
use http::{HeaderMap, HeaderName, HeaderValue};

/// See the module's header.
pub fn headers(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (value, schema, call) = (next(), next(), next());
    decoded(value);
    let params = Json::parse(schema)
        .map(|schema| {
            let _wrong = misannotated(&schema);
            ParamHeaders::from_schema(&schema)
        })
        .unwrap_or_default();
    if let Ok(call) = Envelope::scan(call, &Limits::default()) {
        let sent = read(lines);
        // Refused or taken, but read without harm.
        let _checked = mcp::check_request(&sent, &call).is_ok();
        let _checked = params.check(&sent, &call).is_ok();
        ours_are_accepted(&params, &call, sent);
    }
}

fn decoded(value: &[u8]) {
    if let Ok(text) = std::str::from_utf8(value) {
        let encoded = encode_value(text);
        assert_eq!(decode_value(&encoded).as_deref(), Some(text));
    }
    if let Ok(value) = HeaderValue::from_bytes(value)
        && let Some(text) = decode_value(&value)
    {
        assert_eq!(decode_value(&encode_value(&text)), Some(text));
    }
}

fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in lines.take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            map.append(name, value);
        }
    }
    map
}

/// Whatever the client sent, after we set our own a modern server finds nothing to refuse in them.
fn ours_are_accepted(params: &ParamHeaders, call: &Envelope<&[u8]>, mut map: HeaderMap) {
    params.set(&mut map, call);
    if let Err(refusal) = params.check(&map, call) {
        panic!("our own headers are refused: {refusal:?}");
    }
    let before = mcp::check_request(&map, call).is_ok();
    let mut own = HeaderMap::new();
    mcp::set_standard(&mut own, ProtocolVersion::LATEST, call);
    if before && map.get("mcp-protocol-version") == own.get("mcp-protocol-version") {
        assert!(
            mcp::check_request(&own, call).is_ok(),
            "our own headers are refused"
        );
    }
}
