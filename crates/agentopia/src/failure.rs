//! Every way in which a command can fail: the exit status, the sentence for people and the object
//! for programs.

use std::io::Write as _;
use std::process::ExitCode;

use agentopia_api::problem::FieldProblem;
use serde::Serialize;

use crate::client::ClientError;
use crate::output::{Format, clean};

/// Exit status of wrong usage.
pub(crate) const USAGE: u8 = 2;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server refused, or could not be reached.
    Client(ClientError),
    /// The arguments make no sense together, or an input is wrong.
    Usage(String),
    /// There is no sign-in to use.
    NotSignedIn(String),
    /// A name or id that nothing has.
    NotFound(String),
    /// Waited for longer than allowed; the sentence says for what.
    TimedOut(String),
    /// Ctrl-C.
    Interrupted,
    /// What was asked for did not come about; what is known of it.
    Unsuccessful(Box<Unsuccessful>),
    /// Everything is said already.
    Said,
    /// Whoever reads our output went away.
    ReaderGone,
    /// Anything of this machine: files, the terminal.
    Other(anyhow::Error),
}

/// Something that ended badly on the server's side.
#[derive(Debug)]
pub(crate) struct Unsuccessful {
    /// Stable, for programs.
    pub(crate) code: &'static str,
    /// What went wrong.
    pub(crate) message: String,
    /// The last lines of the log, where there is one.
    pub(crate) log: Vec<String>,
    /// What to do next, one command or sentence each.
    pub(crate) hints: Vec<String>,
}

impl Failure {
    /// A failure of this machine; `doing` says what could not be done.
    pub(crate) fn other(
        error: impl Into<anyhow::Error>,
        doing: impl std::fmt::Display + Send + Sync + 'static,
    ) -> Self {
        Self::Other(error.into().context(doing))
    }

    /// The process's exit status.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) => match error {
                ClientError::Problem(problem) => match (problem.status, problem.code.as_str()) {
                    (401, _) => 3,
                    (_, "not_found" | "unknown_catalog_entry") => 4,
                    (_, "timed_out") => 124,
                    _ => 1,
                },
                ClientError::TimedOut { .. } => 124,
                _ => 1,
            },
            Self::Usage(_) => USAGE,
            Self::NotSignedIn(_) => 3,
            Self::NotFound(_) => 4,
            Self::TimedOut(_) => 124,
            Self::Interrupted => 130,
            Self::ReaderGone => 0,
            Self::Unsuccessful(_) | Self::Said | Self::Other(_) => 1,
        }
    }

    /// The stable code for programs.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Client(ClientError::Problem(problem)) => &problem.code,
            Self::Client(ClientError::Unreachable { .. }) => "server_unreachable",
            Self::Client(ClientError::TimedOut { .. }) | Self::TimedOut(_) => "timed_out",
            Self::Client(_) => "unexpected_answer",
            Self::Usage(_) => "usage",
            Self::NotSignedIn(_) => "not_signed_in",
            Self::NotFound(_) => "not_found",
            Self::Interrupted => "interrupted",
            Self::Unsuccessful(what) => what.code,
            Self::Said | Self::ReaderGone | Self::Other(_) => "error",
        }
    }

    /// What went wrong, in a sentence; empty when everything is said already.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Client(ClientError::Problem(problem)) => problem.detail.clone(),
            Self::Client(error) => error.to_string(),
            Self::Usage(text)
            | Self::NotSignedIn(text)
            | Self::NotFound(text)
            | Self::TimedOut(text) => text.clone(),
            Self::Interrupted => "interrupted; what the server was asked to do goes on".to_owned(),
            Self::Unsuccessful(what) => what.message.clone(),
            Self::Said | Self::ReaderGone => String::new(),
            Self::Other(error) => format!("{error:#}"),
        }
    }

    fn request_id(&self) -> Option<&str> {
        match self {
            Self::Client(error) => error.request_id(),
            _ => None,
        }
    }

    fn fields(&self) -> &[FieldProblem] {
        match self {
            Self::Client(ClientError::Problem(problem)) => &problem.errors,
            _ => &[],
        }
    }

    fn log(&self) -> &[String] {
        match self {
            Self::Unsuccessful(what) => &what.log,
            _ => &[],
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unsuccessful(what) => what.hints.clone(),
            Self::Client(ClientError::Problem(problem)) if problem.status == 401 => {
                // A wrong password needs no hint to sign in.
                if problem.code == "not_signed_in" {
                    vec!["sign in with: agentopia login".to_owned()]
                } else {
                    Vec::new()
                }
            }
            Self::Client(ClientError::Unreachable { .. }) => {
                vec!["is the server running? start one here with: agentopia serve".to_owned()]
            }
            _ => Vec::new(),
        }
    }

    fn text(&self) -> String {
        let message = self.message();
        let mut text = format!("error: {}\n", clean(&message));
        for FieldProblem { field, problem } in self.fields() {
            // Where there is only one, the message says it already.
            let line = format!("{field}: {problem}");
            if !message.contains(&line) {
                text.push_str(&format!("  {}\n", clean(&line)));
            }
        }
        if !self.log().is_empty() {
            text.push_str("its last words:\n");
            for line in self.log() {
                text.push_str(&format!("  | {}\n", clean(line)));
            }
        }
        for hint in self.hints() {
            text.push_str(&format!("hint: {hint}\n"));
        }
        if let Some(id) = self.request_id() {
            text.push_str(&format!("request id: {}\n", clean(id)));
        }
        text
    }

    fn json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            error: Body<'a>,
        }
        #[derive(Serialize)]
        struct Body<'a> {
            code: &'a str,
            message: String,
            request_id: Option<&'a str>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldProblem],
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            log: &'a [String],
        }
        let document = Document {
            error: Body {
                code: self.code(),
                message: self.message(),
                request_id: self.request_id(),
                errors: self.fields(),
                log: self.log(),
            },
        };
        // Strings and lists of strings always serialise.
        serde_json::to_string(&document).unwrap_or_default() + "\n"
    }
}

/// Writes the failure to standard error and gives the exit status.
pub(crate) fn report(failure: &Failure, format: Format) -> ExitCode {
    if !matches!(failure, Failure::Said | Failure::ReaderGone) {
        let text = match format {
            Format::Text => failure.text(),
            Format::Json => failure.json(),
        };
        // If standard error is closed there is nobody to tell.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    ExitCode::from(failure.exit_code())
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

#[cfg(test)]
mod tests {
    use agentopia_api::Problem;

    use super::*;

    fn problem(status: u16, code: &str) -> Failure {
        Failure::Client(ClientError::Problem(Box::new(Problem {
            kind: "about:blank".into(),
            title: "title".into(),
            status,
            code: code.into(),
            detail: "what to do".into(),
            request_id: Some("r1".into()),
            errors: vec![FieldProblem {
                field: "config.zone".into(),
                problem: "unknown".into(),
            }],
            retry_after_seconds: None,
        })))
    }

    #[test]
    fn exit_codes() {
        for (failure, code) in [
            (problem(401, "not_signed_in"), 3),
            (problem(401, "wrong_credentials"), 3),
            (problem(403, "forbidden"), 1),
            (problem(404, "not_found"), 4),
            (problem(404, "unknown_route"), 1),
            (problem(422, "unknown_catalog_entry"), 4),
            (problem(422, "invalid_input"), 1),
            (problem(504, "timed_out"), 124),
            (Failure::Usage(String::new()), 2),
            (Failure::NotSignedIn(String::new()), 3),
            (Failure::NotFound(String::new()), 4),
            (Failure::TimedOut(String::new()), 124),
            (Failure::Interrupted, 130),
            (Failure::Said, 1),
            (Failure::ReaderGone, 0),
            (Failure::Other(anyhow::anyhow!("x")), 1),
        ] {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
        }
    }

    #[test]
    fn programs_get_one_object() {
        let text = problem(422, "invalid_config").json();
        assert_eq!(
            text,
            "{\"error\":{\"code\":\"invalid_config\",\"message\":\"what to do\",\
             \"request_id\":\"r1\",\
             \"errors\":[{\"field\":\"config.zone\",\"problem\":\"unknown\"}]}}\n"
        );
        assert_eq!(
            Failure::Interrupted.json(),
            "{\"error\":{\"code\":\"interrupted\",\"message\":\"interrupted; what the server was \
             asked to do goes on\",\"request_id\":null}}\n"
        );
    }

    #[test]
    fn people_get_every_field_and_no_control_characters() {
        let text = problem(422, "invalid_config").text();
        assert!(text.contains("  config.zone: unknown\n"), "{text}");
        assert!(text.contains("request id: r1"), "{text}");
        let mut said = problem(422, "invalid_config");
        if let Failure::Client(ClientError::Problem(problem)) = &mut said {
            problem.detail = "config.zone: unknown".into();
        }
        assert_eq!(said.text().matches("config.zone: unknown").count(), 1);
        let failure = Failure::Unsuccessful(Box::new(Unsuccessful {
            code: "instance_failed",
            message: "died\u{1b}[2J".into(),
            log: vec!["\u{7}boom".into()],
            hints: vec!["look".into()],
        }));
        let text = failure.text();
        assert!(text.contains("| ") && text.contains("boom"), "{text}");
        assert!(text.contains("hint: look"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
}
