//! What stands in the body of a refusal. Never kept as it is: gateways answer with HTML.

use serde::Deserialize;

/// The most characters of DigitalOcean's words that are kept.
const MAX_WORDS: usize = 500;
/// The most characters of a code or an id that are kept.
const MAX_ID: usize = 100;

/// An error as DigitalOcean writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: String,
    pub(super) words: String,
    pub(super) request_id: Option<String>,
}

/// The ordinary form (contract, `error`), and the one that tags have (`error_with_root_causes`).
#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Error {
        id: String,
        message: String,
        #[serde(default)]
        request_id: Option<String>,
    },
    RootCauses {
        error: String,
        #[serde(rename = "root_causes")]
        _root_causes: Vec<String>,
    },
}

/// Reads an error of DigitalOcean's own. `None` for anything else, such as a gateway's page.
pub(super) fn read(body: &[u8]) -> Option<Said> {
    let said = match serde_json::from_slice(body).ok()? {
        Wire::Error {
            id,
            message,
            request_id,
        } => Said {
            code: clean(&id, MAX_ID),
            words: clean(&message, MAX_WORDS),
            request_id: request_id.map(|id| clean(&id, MAX_ID)),
        },
        Wire::RootCauses { error, .. } => Said {
            code: "bad_request".to_owned(),
            words: clean(&error, MAX_WORDS),
            request_id: None,
        },
    };
    Some(said)
}

/// Without control characters and not too long. A page that hides inside of the JSON is left out.
pub(super) fn clean(text: &str, limit: usize) -> String {
    let lower = text.to_ascii_lowercase();
    if lower.contains("<html") || lower.contains("<!doctype") || lower.contains("<body") {
        return "(a page of HTML)".to_owned();
    }
    text.chars()
        .map(|each| if each.is_control() { ' ' } else { each })
        .take(limit)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let said = read(br#"{"id":"forbidden","message":"No.","request_id":"r-1","x":1}"#).unwrap();
        assert_eq!(
            (
                said.code.as_str(),
                said.words.as_str(),
                said.request_id.as_deref()
            ),
            ("forbidden", "No.", Some("r-1"))
        );
        let said = read(br#"{"error":"bad tag","messages":null,"root_causes":["x"]}"#).unwrap();
        assert_eq!(
            (said.code.as_str(), said.words.as_str()),
            ("bad_request", "bad tag")
        );
    }

    #[test]
    fn what_is_not_digitaloceans_is_nothing() {
        for body in [
            "",
            "<html><body>504</body></html>",
            "{}",
            r#"{"id":"x"}"#,
            r#"{"message":"x"}"#,
            r#"{"error":"x"}"#,
            r#""text""#,
            r#"{"id":7,"message":"x"}"#,
        ] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn words_are_short_and_plain() {
        let long = format!(
            r#"{{"id":"x","message":"a\n\u001b[31m{}"}}"#,
            "ä".repeat(1000)
        );
        let words = read(long.as_bytes()).unwrap().words;
        assert_eq!(words.chars().count(), MAX_WORDS);
        assert!(words.starts_with("a  [31mä"), "{words}");
        for page in ["<!DOCTYPE html><p>oh", "oh <HTML lang=en>", "<body>oh"] {
            assert_eq!(clean(page, MAX_WORDS), "(a page of HTML)");
        }
        assert_eq!(clean("a < b", MAX_WORDS), "a < b");
    }
}
