//! RFC 9457 problem documents, as both sides send them.

use serde::{Deserialize, Serialize};

/// A refusal with a stable code and a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{title}: {detail} ({code})")]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// Stable, snake case, for programs.
    pub code: String,
    /// What kind of problem it is.
    pub title: String,
    /// What is wrong here and what to do about it.
    pub detail: String,
}
