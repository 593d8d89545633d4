//! Texts with values of several settings in them: `postgres://${config:user}@${config:host}/db`.

use serde_json::{Map, Value};

const OPENS: &str = "${config:";

/// The settings that `text` names, in order.
///
/// # Errors
/// Where a reference has no end.
pub fn settings(text: &str) -> Result<Vec<&str>, &'static str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(OPENS) {
        let (name, after) = after
            .split_once('}')
            .ok_or("close the reference: ${config:NAME}")?;
        found.push(name);
        rest = after;
    }
    Ok(found)
}

/// `text` with the values of the settings; none where one of them has no value. A value is never looked
/// at for references of its own.
#[must_use]
pub fn filled(text: &str, values: &Map<String, Value>) -> Option<String> {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPENS) {
        let (name, after) = after.split_once('}')?;
        whole.push_str(before);
        match values.get(name)? {
            Value::Null => return None,
            Value::String(value) => whole.push_str(value),
            other => whole.push_str(&other.to_string()),
        }
        rest = after;
    }
    whole.push_str(rest);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_put_in_once_and_what_lacks_one_is_left_out() {
        let values = json!({"a": "${config:b}", "b": 2, "n": null});
        let values = values.as_object().unwrap();
        assert_eq!(
            filled("x=${config:a};${config:b}$", values).unwrap(),
            "x=${config:b};2$"
        );
        assert_eq!(filled("plain", values).unwrap(), "plain");
        for missing in ["${config:c}", "${config:n}", "${config:a"] {
            assert_eq!(filled(missing, values), None, "{missing}");
        }
        assert_eq!(settings("${config:a}-${config:b}").unwrap(), ["a", "b"]);
        assert!(settings("${config:a").is_err());
    }
}
