//! Scans by example, then against serde_json.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn scan(text: &str) -> Result<Envelope<&[u8]>, ScanError> {
    Envelope::scan(text.as_bytes(), &Limits::default())
}

#[test]
fn kinds_and_ids() {
    let cases = [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            Kind::Request,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.50,"method":"ping","params":null}"#,
            Kind::Request,
            Some("1.50"),
        ),
        (
            r#"{"id":"x\u0041","method":"ping","jsonrpc":"2.0"}"#,
            Kind::Request,
            Some(r#""x\u0041""#),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            Kind::Notification,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":-7,"result":{}}"#,
            Kind::Response,
            Some("-7"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":null}"#,
            Kind::Response,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#,
            Kind::ErrorResponse,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#,
            Kind::ErrorResponse,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"code":1,"message":""}}"#,
            Kind::ErrorResponse,
            None,
        ),
    ];
    for (text, kind, id) in cases {
        let envelope = scan(text).unwrap();
        assert_eq!(envelope.kind(), kind, "{text}");
        assert_eq!(
            envelope.id().map(|id| id.to_string()).as_deref(),
            id,
            "{text}"
        );
    }
    let error = scan(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#).unwrap();
    assert_eq!(error.error_code(), Some(crate::ErrorCode::METHOD_NOT_FOUND));
}

#[test]
fn what_is_no_message_is_refused_with_a_reason() {
    use ScanError as E;
    let cases = [
        (
            "",
            E::Syntax {
                at: 0,
                what: "ends where a value should stand",
            },
        ),
        ("7", E::NotObject),
        ("[]", E::Batch),
        (
            "[1,]",
            E::Syntax {
                at: 3,
                what: "expected a value",
            },
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m"} x"#,
            E::Syntax {
                at: 38,
                what: "trailing characters",
            },
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1]}"#,
            E::Syntax {
                at: 52,
                what: "expected `,` or `}`",
            },
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m""#,
            E::Syntax {
                at: 36,
                what: "expected `,` or `}`",
            },
        ),
        (r#"{"id":1,"method":"m"}"#, E::NotJsonRpc),
        (r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, E::NotJsonRpc),
        (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, E::BadId),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#, E::BadId),
        (r#"{"jsonrpc":"2.0","result":{}}"#, E::BadId),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, E::BadMethod),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"\udead"}"#,
            E::BadMethod,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#,
            E::NotAnObject { key: "params" },
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":1}}"#,
            E::NotAnObject { key: "_meta" },
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"error":"x"}"#,
            E::NotAnObject { key: "error" },
        ),
        (r#"{"jsonrpc":"2.0","id":1}"#, E::WrongShape),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#,
            E::WrongShape,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            E::WrongShape,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
            E::Duplicate { key: "id" },
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"a","n\u0061me":"b"}}"#,
            E::Duplicate { key: "name" },
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"a","Name":"b"}}"#,
            E::LookAlike { key: "name" },
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"METHOD":"m"}"#,
            E::LookAlike { key: "method" },
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"\ud800"}}"#,
            E::BadText { key: "name" },
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(scan(text).unwrap_err(), wanted, "{text}");
    }
    assert_eq!(E::Batch.code(), crate::ErrorCode::INVALID_REQUEST);
    assert_eq!(scan("{").unwrap_err().code(), crate::ErrorCode::PARSE_ERROR);
}

#[test]
fn what_we_do_not_route_on_may_be_odd() {
    // Twice the same unknown key, half surrogates, huge numbers: not ours to judge.
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":{"a":1,"a":2,"name":"\ud800","Name":1e999,"id":null}},"x":1,"x":2}"#;
    let envelope = scan(text).unwrap();
    assert!(!envelope.has(Field::ParamsName));
    assert!(
        envelope
            .raw(Field::ParamsArguments)
            .unwrap()
            .as_bytes()
            .starts_with(b"{\"a\":1,\"a\":2")
    );
}

#[test]
fn batches_are_taken_apart() {
    let text = r#" [ {"jsonrpc":"2.0","id":1,"method":"a"} , {"jsonrpc":"2.0","method":"b"} ] "#;
    assert_eq!(scan(text).unwrap_err(), ScanError::Batch);
    let methods: Vec<_> = batch_elements(text.as_bytes(), &Limits::default())
        .unwrap()
        .into_iter()
        .map(|span| scan(&text[span]).unwrap().method().into_owned())
        .collect();
    assert_eq!(methods, ["a", "b"]);
    assert_eq!(
        batch_elements(b"[]", &Limits::default()),
        Err(ScanError::WrongShape)
    );
    assert_eq!(
        batch_elements(b"{}", &Limits::default()),
        Err(ScanError::WrongShape)
    );
}

#[test]
fn debug_shows_no_arguments() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"password":"hush"}}}"#;
    let shown = format!("{:?}", scan(text).unwrap());
    assert!(
        shown.contains("tools/call") && !shown.contains("hush"),
        "{shown}"
    );
}

/// Messages with the fields in random order, spacing and company.
fn message() -> impl Strategy<Value = Value> {
    let text = "[ -~\u{e9}\u{1f600}]{0,8}";
    let unknown = || prop::collection::vec(("[a-z]{3}[0-9]", lex::tests::value()), 0..3);
    let id = prop_oneof![
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from)
    ];
    (
        id,
        text,
        text,
        unknown(),
        unknown(),
        lex::tests::value(),
        0..3,
    )
        .prop_map(|(id, name, method, in_top, in_params, arguments, shape)| {
            let mut inner = json!({"name": name, "arguments": arguments});
            inner["_meta"] = json!({"progressToken": id, "resultType": 1});
            inner.as_object_mut().unwrap().extend(in_params);
            inner["uri"] = json!("a://b");
            let mut message = serde_json::Map::new();
            message.extend(in_top);
            match shape {
                0 => {
                    message.insert("method".to_owned(), method.into());
                    message.insert("params".to_owned(), inner);
                    message.insert("id".to_owned(), id);
                }
                1 => {
                    message.insert("id".to_owned(), id);
                    message.insert("result".to_owned(), inner);
                }
                _ => {
                    message.insert("error".to_owned(), json!({"code": -1, "data": inner}));
                    message.insert("id".to_owned(), id);
                }
            }
            message.insert("jsonrpc".to_owned(), "2.0".into());
            message.into()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_field_is_what_serde_json_finds_there(message in message(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&message) } else { serde_json::to_string(&message) }.unwrap();
        // The printed text counts: floats may change when printed and read.
        let message: Value = serde_json::from_str(&text).unwrap();
        let envelope = scan(&text).unwrap();
        for &field in Field::ALL {
            let mut path = vec![];
            let mut at = field;
            while at != Field::Message { path.push(at.key()); at = at.parent(); }
            let found = path.iter().rev().try_fold(&message, |value, key| value.get(key));
            let ours = envelope.raw(field).map(|raw| raw.to::<Value>().unwrap());
            prop_assert_eq!(ours.as_ref(), found, "{:?}", field);
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_none_pass_that_serde_json_refuses(
        message in message(), place in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut text = serde_json::to_vec(&message).unwrap();
        let place = place.index(text.len());
        text[place] = byte;
        let judged = Envelope::scan(&text[..], &Limits::default());
        let well_formed = std::str::from_utf8(&text)
            .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        let malformed = matches!(judged, Err(ScanError::Syntax { .. } | ScanError::NotUtf8 { .. }));
        prop_assert!(well_formed || judged.is_err());
        prop_assert!(!well_formed || !malformed);
    }
}
