//! Clients of MCP endpoints: the modern era by hand (so that every header and byte is ours to
//! choose), the session era by rmcp.

mod modern;
mod session;

use serde_json::Value;

pub use modern::{ModernClient, ModernError};
pub use session::SessionClient;

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Called(pub Value);

impl Called {
    /// All text in it, joined.
    #[must_use]
    pub fn text(&self) -> String {
        let parts = self.0["content"].as_array().cloned().unwrap_or_default();
        parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect()
    }

    /// Whether the tool says that it failed.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.0["isError"].as_bool().unwrap_or(false)
    }
}
