//! Values on the command line: durations, `key=value`, JSON from a file or standard input; and the
//! wire's words for enumerations.

use std::time::Duration;

use agentopia_domain::idle::IdleSetting;
use agentopia_domain::name::Name;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::input;

/// The wire's word for a value of an enumeration without data.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// The value of an enumeration without data that the wire has this word for; `words` are all there are.
pub(crate) fn from_word<T: DeserializeOwned>(text: &str, words: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|_| format!("use {words}"))
}

/// A span like `90s`, `5m` or `30d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "use a number and a unit, for example 90s, 5m, 12h or 30d".to_owned())
        .and_then(|span| {
            if span.is_zero() {
                return Err("use more than 0".to_owned());
            }
            Ok(span)
        })
}

/// An idle time: a span, `never`, or `inherit`. Its bounds are the server's to say.
pub(crate) fn idle(text: &str) -> Result<IdleSetting, String> {
    match text {
        "inherit" => Ok(IdleSetting::Inherit),
        "never" => Ok(IdleSetting::Never),
        other => {
            let span = duration(other)
                .map_err(|problem| format!("use `never`, `inherit`, or a time: {problem}"))?;
            let seconds = span.as_secs().try_into().unwrap_or(u32::MAX);
            Ok(IdleSetting::After { seconds })
        }
    }
}

/// A name for something.
pub(crate) fn name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|error| error.to_string())
}

/// `key=value`; the value may contain `=` and may be empty.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("use KEY=VALUE".to_owned()),
    }
}

/// The text of an argument that may point elsewhere: `@file`, `-` for standard input, or itself.
pub(crate) async fn text(argument: &str, what: &str) -> Result<String, Failure> {
    if argument == "-" {
        return input::all(what).await;
    }
    match argument.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{what}: {path} can't be read: {error}"))),
        None => Ok(argument.to_owned()),
    }
}

/// A JSON object given as text, as `@file` or as `-` for standard input.
pub(crate) async fn object(argument: &str, what: &str) -> Result<Map<String, Value>, Failure> {
    let text = text(argument, what).await?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Usage(format!("{what} must be a JSON object: {error}")))
}

/// The value that `text` stands for where a JSON Schema describes what is expected.
///
/// Where the schema wants a string, the text is one; otherwise it is read as JSON, and what is no
/// JSON is a string, for the server to judge.
pub(crate) fn by_schema(text: &str, schema: Option<&Value>) -> Value {
    let string = || Value::String(text.to_owned());
    let wants_string = match schema.and_then(|schema| schema.get("type")) {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
        _ => schema
            .and_then(|schema| schema.get("enum"))
            .and_then(Value::as_array)
            .is_some_and(|values| values.iter().any(|value| value == text)),
    };
    if wants_string {
        string()
    } else {
        serde_json::from_str(text).unwrap_or_else(|_| string())
    }
}

/// Values for the properties of an object that `schema` describes.
pub(crate) fn properties(
    pairs: Vec<(String, String)>,
    schema: &Value,
) -> impl Iterator<Item = (String, Value)> {
    let properties = schema.get("properties").cloned().unwrap_or_default();
    pairs.into_iter().map(move |(key, text)| {
        let value = by_schema(&text, properties.get(&key));
        (key, value)
    })
}

/// `1000`, or `none` for no limit, which programs write as 0.
pub(crate) fn daily_limit(text: &str) -> Result<u32, String> {
    match text {
        "none" => Ok(0),
        number => number
            .parse()
            .map_err(|_| "give a whole number, or none".to_owned()),
    }
}

/// A limit for people.
pub(crate) fn limit_text(limit: Option<u32>) -> String {
    limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string())
}

#[cfg(test)]
mod tests {
    use agentopia_domain::instance::InstanceStatus;
    use serde_json::json;

    use super::*;

    #[test]
    fn words_are_those_of_the_wire() {
        assert_eq!(word(&InstanceStatus::ErrorRuntime), "error_runtime");
    }

    #[test]
    fn a_word_that_the_wire_does_not_have_is_answered_with_those_it_has() {
        let read = |text| from_word::<InstanceStatus>(text, "running or stopped");
        assert_eq!(read("error_runtime"), Ok(InstanceStatus::ErrorRuntime));
        assert_eq!(read("Running"), Err("use running or stopped".to_owned()));
    }

    #[test]
    fn spans_and_pairs() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86400)));
        for bad in ["", "5", "0s", "-1s", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        assert!(pair("a").is_err());
        assert!(pair("=b").is_err());
    }

    #[test]
    fn the_schema_decides_what_a_text_is() {
        let number = json!({"type": "integer"});
        let string = json!({"type": "string"});
        let either = json!({"type": ["string", "null"]});
        let choice = json!({"enum": ["1", "2"]});
        assert_eq!(by_schema("5", Some(&number)), json!(5));
        assert_eq!(by_schema("five", Some(&number)), json!("five"));
        assert_eq!(by_schema("5", Some(&string)), json!("5"));
        assert_eq!(by_schema("5", Some(&either)), json!("5"));
        assert_eq!(by_schema("1", Some(&choice)), json!("1"));
        assert_eq!(by_schema("[1]", None), json!([1]));
        assert_eq!(by_schema("hello", None), json!("hello"));
        assert_eq!(
            by_schema("true", Some(&json!({"type": "boolean"}))),
            json!(true)
        );
    }

    #[tokio::test]
    async fn objects_come_from_text_or_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("args.json");
        std::fs::write(&path, r#"{"a":1}"#).unwrap();
        let argument = format!("@{}", path.display());
        assert_eq!(object(&argument, "--args").await.unwrap()["a"], 1);
        assert_eq!(object(r#"{"a":2}"#, "--args").await.unwrap()["a"], 2);
        for bad in ["[1]", "{", "@/nowhere/at/all"] {
            let Err(Failure::Usage(text)) = object(bad, "--args").await else {
                panic!("{bad} was taken");
            };
            assert!(text.starts_with("--args"), "{text}");
        }
    }
}
