//! What may be kept of what tools are told and answer, for accounts that want it kept (AGT-8).
//!
//! Secrets are found by the names that they stand under (`password`, `api_key`, …) and by their shapes (tokens
//! of known services, bearer credentials, private keys, passwords in URLs). This is a net, not a proof: what
//! has neither a telling name nor a known shape is kept. Text that is JSON itself, as most servers answer with, is
//! looked into.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";
/// So much of arguments or of a result is kept, bytes; and so much of it is looked at.
pub const MAX_KEPT: usize = 8 << 10;

/// How deep text in text is looked into.
const MAX_NESTING: usize = 4;

/// Ends of names whose values are secrets, without `_`, `-` and capitals.
const TELLING: [&str; 17] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "signingkey",
    "encryptionkey",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "pin",
];

/// Values that are secrets whatever they are called.
static SHAPES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
        r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}",
        r"\beyJ[\w-]+\.[\w-]+(\.[\w-]*)?",
        r"\b(gh[oprsu]_|github_pat_|glpat-|xox[abeprs]-|sk-|rk_live_|sk_live_|npm_|pypi-|dop_v1_|hf_|AIza|ag[a-z]_)[\w-]{12,}",
        r"\b(AKIA|ASIA)[0-9A-Z]{12,}",
    ]
    .into_iter()
    .filter_map(|shape| Regex::new(shape).ok())
    .collect()
});
/// `scheme://name:password@host`.
static USERINFO: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(://[^/\s:@]*:)[^/\s@]+@").ok());
/// `name=value` and `"name": "value"` in text, also where JSON was written as text.
static ASSIGNED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let quote = r#"\\*["']?"#;
    let name = r"[\w.-]*(?i:passwd|password|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization|credentials?|cookie)";
    let value = r#"[^\s"',;&}\\]+"#;
    Regex::new(&format!(
        r"({quote}\b{name}{quote}\s*[:=]\s*{quote})({value})"
    ))
    .ok()
});

/// What may be kept of `json`, at most [`MAX_KEPT`] bytes. What is longer, or no JSON, is kept as the text that
/// it begins with.
#[must_use]
pub fn redact(json: &[u8]) -> String {
    let whole = (json.len() <= MAX_KEPT)
        .then(|| serde_json::from_slice::<Value>(json).ok())
        .flatten();
    match whole {
        Some(mut value) => {
            clean(&mut value, 0);
            shortened(value.to_string())
        }
        None => redact_text(&beginning(json)),
    }
}

/// The same for text that is no JSON.
#[must_use]
pub fn redact_text(text: &str) -> String {
    let mut clean = text.to_owned();
    for shape in SHAPES.iter() {
        clean = shape.replace_all(&clean, REDACTED).into_owned();
    }
    if let Some(userinfo) = &*USERINFO {
        let with = format!("${{1}}{REDACTED}@");
        clean = userinfo.replace_all(&clean, with).into_owned();
    }
    if let Some(assigned) = &*ASSIGNED {
        let with = format!("${{1}}{REDACTED}");
        clean = assigned.replace_all(&clean, with).into_owned();
    }
    shortened(clean)
}

fn clean(value: &mut Value, depth: usize) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if is_telling(name) && !matches!(value, Value::Null | Value::Bool(_)) {
                    *value = Value::String(REDACTED.to_owned());
                } else {
                    clean(value, depth);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, depth)),
        Value::String(text) => *text = clean_text(text, depth),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn clean_text(text: &str, depth: usize) -> String {
    if depth < MAX_NESTING
        && text.trim_start().starts_with(['{', '['])
        && let Ok(mut inner) = serde_json::from_str::<Value>(text)
    {
        clean(&mut inner, depth + 1);
        return inner.to_string();
    }
    redact_text(text)
}

fn is_telling(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    // A count of tokens is none, and the tokens of a page are no secret.
    let harmless = [
        "nextpagetoken",
        "pagetoken",
        "progresstoken",
        "continuationtoken",
    ];
    !harmless.contains(&&*plain)
        && TELLING
            .iter()
            .any(|end| plain.ends_with(end) && fits(&plain, end))
}

/// Short words tell something only where they stand alone: `pin`, not `spin`.
fn fits(name: &str, end: &str) -> bool {
    end.len() > 3 || name == end
}

/// As much text as may be kept; what a cut left of a word goes too, as it could be a part of a secret.
fn beginning(bytes: &[u8]) -> String {
    let cut = bytes.len() > MAX_KEPT;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_KEPT)]);
    let end = match cut {
        true => text
            .rfind(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | ';' | '&'))
            .unwrap_or(0),
        false => text.len(),
    };
    text[..end].to_owned()
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_KEPT));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(json: &str) -> String {
        redact(json.as_bytes())
    }

    #[test]
    fn what_is_called_a_secret_is_taken_out() {
        assert_eq!(
            kept(
                r#"{"user":"ada","password":"hunter2","API_KEY":"k","nested":[{"client-secret":["a"]}]}"#
            ),
            r#"{"user":"ada","password":"[redacted]","API_KEY":"[redacted]","nested":[{"client-secret":"[redacted]"}]}"#
        );
    }

    #[test]
    fn what_only_sounds_like_one_stays() {
        let harmless = r#"{"tokens":12,"max_tokens":5,"nextPageToken":"abc","spin":1,"secretary":"Ada","has_password":true}"#;
        assert_eq!(kept(harmless), harmless);
    }

    #[test]
    fn known_shapes_are_taken_out_wherever_they_stand() {
        for secret in [
            "ghp_0123456789abcdefABCDEF",
            "sk-proj-0123456789abcdef",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            "Bearer abcdefgh12345678",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        ] {
            let json =
                serde_json::json!({ "text": format!("it is {secret}, keep it") }).to_string();
            assert_eq!(
                kept(&json),
                r#"{"text":"it is [redacted], keep it"}"#,
                "{secret}"
            );
        }
    }

    #[test]
    fn assignments_and_addresses_in_text_are_looked_into() {
        let text = r#"{"text":"DB_PASSWORD=hunter2 at postgres://ada:hunter2@db/x token: abc"}"#;
        let clean = kept(text);
        assert!(
            !clean.contains("hunter2") && !clean.contains("abc"),
            "{clean}"
        );
        assert!(clean.contains("postgres://ada:[redacted]@db/x"), "{clean}");
    }

    #[test]
    fn json_in_text_is_looked_into() {
        let inner = r#"{"password":"hunter2","city":"Berlin"}"#;
        let clean = kept(&serde_json::json!({ "text": inner }).to_string());
        assert!(
            !clean.contains("hunter2") && clean.contains("Berlin"),
            "{clean}"
        );
    }

    #[test]
    fn long_ones_are_kept_as_the_text_they_begin_with() {
        let inner = r#"{\"password\":\"hunter2\"}"#;
        let filler = "x ".repeat(MAX_KEPT);
        let json = format!(
            r#"{{"password":"hunter2","inner":"{inner}","city":"Berlin","text":"{filler}"}}"#
        );
        let clean = kept(&json);
        assert!(
            clean.len() <= MAX_KEPT && !clean.contains("hunter2"),
            "{clean}"
        );
        assert!(clean.contains("Berlin"));
    }

    #[test]
    fn a_secret_that_is_cut_in_half_is_not_kept_in_half() {
        let filler = "x".repeat(MAX_KEPT - 40);
        let json = format!(r#"{{"a":"{filler}","b":"left ghp_0123456789abcdefABCDEF right"}}"#);
        assert!(
            !kept(&json).contains("ghp_"),
            "cut in the middle of a token"
        );
        assert_eq!(redact("ü".repeat(MAX_KEPT).as_bytes()), "");
    }

    #[test]
    fn nothing_that_servers_send_makes_it_fail() {
        for bytes in [&b""[..], b"\xff\xfe", b"{", b"\"", b"[[[", b"null"] {
            let _any = redact(bytes);
        }
        let deep = format!("{}1{}", "[".repeat(4_000), "]".repeat(4_000));
        assert!(redact(deep.as_bytes()).len() <= MAX_KEPT);
    }
}
