//! Splices by example, then against serde_json: the same change made on a parsed value.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::envelope::Limits;

fn splice(text: &str, change: impl for<'a> FnOnce(Splice<'a>) -> Splice<'a>) -> String {
    let envelope = Envelope::scan(text.as_bytes(), &Limits::default()).unwrap();
    let out = change(Splice::new(&envelope)).finish();
    Envelope::scan(&out[..], &Limits::default())
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)));
    String::from_utf8(out).unwrap()
}

#[test]
fn only_what_is_named_changes() {
    let call = r#" {"params" : { "z":1e400, "name" : "old", "_meta":{"progressToken":1,"x":{}} }, "id":"A\u0042", "jsonrpc":"2.0","method":"tools\/call","extra":[ ]} "#;
    let out = splice(call, |s| {
        s.set(Field::Id, 9)
            .set(Field::ParamsName, "new\"")
            .set(Field::MetaProgressToken, "t")
    });
    let wanted = r#" {"params" : { "z":1e400, "name" : "new\"", "_meta":{"progressToken":"t","x":{}} }, "id":9, "jsonrpc":"2.0","method":"tools\/call","extra":[ ]} "#;
    assert_eq!(out, wanted);
    assert_eq!(splice(call, |s| s), call);
}

#[test]
fn members_are_added_wherever_objects_are_missing() {
    let cases = [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":5}}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":5}}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{ }}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{ "_meta":{"progressToken":5}}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","params":{"a":1},"id":1,"method":"m"}"#,
            r#"{"jsonrpc":"2.0","params":{"a":1,"_meta":{"progressToken":5}},"id":1,"method":"m"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","params":{"_meta":null},"id":1,"method":"m"}"#,
            r#"{"jsonrpc":"2.0","params":{"_meta":{"progressToken":5}},"id":1,"method":"m"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","params":{"_meta":{"b":1 }},"id":1,"method":"m"}"#,
            r#"{"jsonrpc":"2.0","params":{"_meta":{"b":1 ,"progressToken":5}},"id":1,"method":"m"}"#,
        ),
    ];
    for (from, to) in cases {
        assert_eq!(splice(from, |s| s.set(Field::MetaProgressToken, 5)), to);
    }
}

#[test]
fn members_without_a_field_are_set_and_removed() {
    let call =
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":"00-a","k":1}}}"#;
    let out = splice(call, |s| {
        s.set_member(Field::ParamsMeta, "traceparent", "00-b")
            .remove_member(Field::ParamsMeta, "k")
            .set_member(Field::ParamsMeta, "tracestate", "s")
            .set_member(Field::Params, "deep", Json::parse(b"[1]").unwrap())
    });
    assert_eq!(
        out,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":"00-b","tracestate":"s"},"deep":[1]}}"#
    );
}

#[test]
fn commas_go_with_what_is_removed() {
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete", "ttlMs":1 ,"tools":[],"cacheScope":"private"}}"#;
    let out = splice(result, |s| {
        s.remove(Field::ResultType)
            .remove(Field::ResultTtlMs)
            .remove(Field::ResultCacheScope)
    });
    assert_eq!(out, r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#);
    let all = splice(result, |s| {
        s.remove(Field::ResultCacheScope)
            .remove(Field::ResultTools)
            .remove(Field::ResultTtlMs)
            .remove(Field::ResultType)
            .set(Field::ResultNextCursor, "c")
    });
    assert_eq!(
        all,
        r#"{"jsonrpc":"2.0","id":1,"result":{"nextCursor":"c"}}"#
    );
}

#[test]
fn outer_words_win_over_inner_ones_and_later_over_earlier() {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"a","_meta":{"progressToken":1}}}"#;
    let out = splice(call, |s| {
        s.set(Field::MetaProgressToken, 2)
            .set(Field::ParamsMeta, Json::parse(b"{}").unwrap())
            .set(Field::ParamsName, "b")
            .set(Field::ParamsName, "c")
    });
    assert_eq!(
        out,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"c","_meta":{}}}"#
    );
    let gone = splice(call, |s| {
        s.set(Field::MetaProgressToken, 2)
            .remove(Field::ParamsMeta)
            .remove(Field::ParamsName)
    });
    assert_eq!(gone, r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}}"#);
    let text = r#"{"jsonrpc":"2.0","id":1,"result":"odd"}"#;
    assert_eq!(splice(text, |s| s.set(Field::ResultType, "complete")), text);
}

/// A call with some of the members that we change and some that we don't know.
fn call() -> impl Strategy<Value = Value> {
    let extra = prop::collection::vec(("[a-z]{1,2}[0-9]", any::<i64>()), 0..3);
    let optional = || prop::option::of("[a-z\"\\\\\u{e9}]{0,5}");
    (
        extra.clone(),
        extra,
        optional(),
        optional(),
        optional(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(in_params, in_meta, name, cursor, token, params_there, first)| {
                let mut meta = serde_json::Map::new();
                let mut params = serde_json::Map::new();
                let put =
                    |map: &mut serde_json::Map<String, Value>, key: &str, v: Option<String>| {
                        if let Some(v) = v {
                            map.insert(key.to_owned(), v.into());
                        }
                    };
                if first {
                    put(&mut params, "name", name.clone());
                    put(&mut meta, "progressToken", token.clone());
                }
                params.extend(in_params.into_iter().map(|(k, v)| (k, v.into())));
                meta.extend(in_meta.into_iter().map(|(k, v)| (k, v.into())));
                put(&mut params, "name", name);
                put(&mut params, "cursor", cursor);
                put(&mut meta, "progressToken", token);
                if !meta.is_empty() {
                    params.insert("_meta".to_owned(), meta.into());
                }
                let mut call = json!({"jsonrpc": "2.0", "id": 1, "method": "m"});
                if params_there {
                    call["params"] = params.into();
                }
                call
            },
        )
}

#[derive(Clone, Debug)]
enum Change {
    Set(Field, u64),
    Remove(Field),
}

fn change() -> impl Strategy<Value = Change> {
    let field = prop::sample::select(
        &[
            Field::ParamsName,
            Field::ParamsCursor,
            Field::MetaProgressToken,
            Field::MetaLogLevel,
        ][..],
    );
    let also = prop::sample::select(&[Field::ParamsMeta, Field::Params][..]);
    prop_oneof![
        3 => (field.clone(), any::<u64>()).prop_map(|(f, v)| Change::Set(f, v)),
        3 => field.prop_map(Change::Remove),
        1 => also.prop_map(Change::Remove),
    ]
}

/// The change on a parsed value. Removing an object leaves sets inside of it to make a new one only
/// if the object was not there before, as in the splice (outer words win).
fn apply(call: &mut Value, change: &Change) {
    match change {
        Change::Set(field, value) => {
            let mut path = vec![*field];
            while path[path.len() - 1].parent() != Field::Message {
                path.push(path[path.len() - 1].parent());
            }
            let mut place = call;
            for step in path.iter().rev() {
                place = &mut place[step.key()];
            }
            *place = (*value).into();
        }
        Change::Remove(field) => {
            let object = match field.parent() {
                Field::Message => Some(call),
                Field::Params => call.get_mut("params"),
                _ => call.get_mut("params").and_then(|p| p.get_mut("_meta")),
            };
            if let Some(Value::Object(object)) = object {
                object.shift_remove(field.key());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn equals_the_change_on_a_parsed_value(call in call(), changes in prop::collection::vec(change(), 0..6), pretty in any::<bool>()) {
        // One word a field, outer objects not together with what is inside of them: those rules
        // are pinned by example above.
        let mut seen: Vec<Field> = Vec::new();
        let changes: Vec<_> = changes.into_iter().filter(|c| {
            let (Change::Set(f, _) | Change::Remove(f)) = c;
            let related = seen.iter().any(|s| s == f || s.parent() == *f || s.parent().parent() == *f || f.parent() == *s || f.parent().parent() == *s);
            if !related { seen.push(*f); }
            !related
        }).collect();
        let text = if pretty { serde_json::to_string_pretty(&call) } else { serde_json::to_string(&call) }.unwrap();
        let out = splice(&text, |s| changes.iter().fold(s, |s, change| match change {
            Change::Set(field, value) => s.set(*field, *value),
            Change::Remove(field) => s.remove(*field),
        }));
        let mut wanted = call;
        // Sets first: a set into an object whose other members all go must not lose the object.
        for change in &changes { if let Change::Set(..) = change { apply(&mut wanted, change); } }
        for change in &changes { if let Change::Remove(_) = change { apply(&mut wanted, change); } }
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), wanted);
    }
}
