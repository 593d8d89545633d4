//! Messages: whatever is taken is JSON, means the same to a full parser, and stays as it was but for what
//! is changed in it.

use agentopia_mcp::{Envelope, Field, Id, Json, Kind, Limits, ScanError, Splice, batch_elements};
use serde::de::IgnoredAny;
use serde_json::Value;

/// The fields that the gateway reads or changes most.
const FIELDS: [Field; 6] = [
    Field::Id,
    Field::Method,
    Field::Params,
    Field::ParamsName,
    Field::ParamsMeta,
    Field::Result,
];

/// See the module's header.
pub fn envelope(data: &[u8]) {
    let limits = Limits::default();
    match Envelope::scan(data, &limits) {
        Ok(envelope) => taken(&envelope, data, &limits),
        Err(ScanError::Batch) => {
            if let Ok(elements) = batch_elements(data, &limits) {
                let values: Vec<IgnoredAny> =
                    serde_json::from_slice(data).expect("a batch is JSON");
                assert_eq!(values.len(), elements.len(), "no element is lost");
            }
        }
        // Refused: with a code that the other side can be told.
        Err(reason) => assert!(reason.code().0 < 0 && reason.status().is_client_error()),
    }
}

fn taken(envelope: &Envelope<&[u8]>, data: &[u8], limits: &Limits) {
    assert!(std::str::from_utf8(data).is_ok(), "what is taken is UTF-8");
    let _json: IgnoredAny = serde_json::from_slice(data).expect("what is taken is JSON");
    assert_eq!(Splice::new(envelope).finish(), data, "nothing was changed");
    // JSON has numbers and escapes that this parser has no value for (1e999, half a surrogate pair): what
    // servers in other languages mean by them is theirs, and goes through untouched.
    if let Ok(value) = serde_json::from_slice(data) {
        understood(envelope, &value, limits);
    }
}

fn understood(envelope: &Envelope<&[u8]>, value: &Value, limits: &Limits) {
    let object = value.as_object().expect("and an object");
    assert_eq!(object.contains_key("method"), envelope.has(Field::Method));
    for field in FIELDS {
        let Some(raw) = envelope.raw(field) else {
            continue;
        };
        let parsed: Value = serde_json::from_slice(raw.as_bytes()).expect("a field is JSON");
        if let Some(text) = envelope.text(field) {
            assert_eq!(
                parsed.as_str(),
                Some(&*text),
                "a text is read as any parser reads it"
            );
        }
    }
    if envelope.kind() == Kind::Request {
        let method = object["method"].as_str().expect("a method is a text");
        assert_eq!(method, envelope.method());
    }
    changed(envelope, value, limits);
}

/// Another id, and a member in `params._meta` if there are params: all else stays.
fn changed(envelope: &Envelope<&[u8]>, before: &Value, limits: &Limits) {
    if envelope.kind() != Kind::Request {
        return;
    }
    let id = Id::from(u64::MAX);
    let spliced = Splice::new(envelope)
        .id(&id)
        .set_member(
            Field::ParamsMeta,
            "agentopia.test/mark",
            Json::string("\"\n"),
        )
        .finish();
    let Ok(again) = Envelope::scan(&spliced[..], limits) else {
        // One level deeper, or some bytes longer than what is let through.
        return assert!(
            serde_json::from_slice::<Value>(&spliced).is_ok() || depth(before) >= 125,
            "a splice leaves JSON"
        );
    };
    assert_eq!(again.id().and_then(|id| id.as_u64()), Some(u64::MAX));
    assert_eq!(again.method(), envelope.method());
    let mut after: Value = serde_json::from_slice(&spliced).expect("a splice leaves JSON");
    let mark = after["params"]["_meta"]
        .as_object_mut()
        .and_then(|meta| meta.shift_remove("agentopia.test/mark"));
    assert_eq!(mark, Some(Value::from("\"\n")), "what was set is there");
    for (key, member) in before.as_object().into_iter().flatten() {
        match key.as_str() {
            "id" => {}
            "params" => same_but_for_meta(member, &after["params"]),
            _ => assert_eq!(member, &after[key], "{key} stays"),
        }
    }
}

fn same_but_for_meta(before: &Value, after: &Value) {
    for (key, member) in before.as_object().into_iter().flatten() {
        match (key.as_str(), member.as_object()) {
            ("_meta", Some(meta)) => {
                for (key, member) in meta {
                    if key != "agentopia.test/mark" {
                        assert_eq!(member, &after["_meta"][key], "_meta.{key} stays");
                    }
                }
            }
            ("_meta", None) => {}
            _ => assert_eq!(member, &after[key], "params.{key} stays"),
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
