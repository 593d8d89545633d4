//! What a look at an installation found, one line for each thing that was looked at (TOOL-12).

use serde::{Deserialize, Serialize};

/// What came of looking at one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Check {
    /// What was looked at: a word with dots that stays the same, such as `provider.token`.
    pub name: String,
    /// Which one of several, such as a machine's environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How it is.
    pub outcome: Outcome,
    /// What was found, and, where something is wrong, what to do. Never holds a secret.
    pub detail: String,
}

/// How a thing is that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works now, and somebody should look at it.
    Warning,
    /// It does not work.
    Failed,
    /// It was not looked at; the detail says why.
    Skipped,
}

impl Check {
    /// As it should be.
    pub fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, detail)
    }

    /// It works now, and somebody should do what the detail says.
    pub fn warning(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Warning, detail)
    }

    /// It does not work; the detail says what to do.
    pub fn failed(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Failed, detail)
    }

    /// It was not looked at; the detail says why.
    pub fn skipped(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, detail)
    }

    fn new(name: impl Into<String>, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            subject: None,
            outcome,
            detail: detail.into(),
        }
    }

    /// The same of one of several.
    #[must_use]
    pub fn of(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}
