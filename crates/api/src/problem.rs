//! How every refusal looks: an RFC 9457 problem document with a stable `code`, a `detail` that
//! says what to do, and the id under which the log has the rest.

use serde::{Deserialize, Serialize};

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// `about:blank`: the kind of problem is told by `code` (RFC 9457, section 4.2.1).
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// What kind of problem it is, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable, snake case, for programs.
    pub code: String,
    /// What is wrong here and what to do about it.
    pub detail: String,
    /// The id of the request in the log; give it when asking for help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// For bad input: every field that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// Seconds to wait before trying again, where waiting helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldProblem {
    /// Path of the field in the request, for example `config.timezone`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.title, self.detail, self.code)?;
        for error in &self.errors {
            write!(f, "\n  {}: {}", error.field, error.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_an_older_or_newer_server_writes() {
        let text = r#"{"title":"t","status":404,"code":"not_found","detail":"d","new":1}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!(problem.kind, "about:blank");
        assert_eq!(problem.to_string(), "t: d (not_found)");
    }
}
