//! Exposed names: how they are remembered, and what they are called in the book.
//!
//! Which name a tool gets is decided by [`agentopia_mcp::names`] (rule 7) the first time it is
//! listed, then written into the [`NameBook`] and never changed.
//!
//! One map per link holds tools and prompts. Keys are the server's own names: a tool under its
//! name, a prompt under `prompt:` and its name (and a tool whose own name happens to start with
//! `prompt:` or `tool:` under `tool:` and its name, so that no two keys meet).

use std::borrow::Cow;
use std::collections::BTreeMap;

use agentopia_domain::{AgentId, LinkId};
use async_trait::async_trait;

/// For each link of an agent: key (see the module's header) to exposed name.
pub type NameMaps = BTreeMap<LinkId, BTreeMap<String, String>>;

/// Keeps the names that were assigned.
#[async_trait]
pub trait NameBook: Send + Sync + 'static {
    /// Stores `new` names of an agent, all or nothing of each name, and returns every name that
    /// the agent's links have now. Called only when there are new names.
    ///
    /// What is stored already wins: a key that has a name keeps it, and an exposed name that
    /// another key of the same agent has (of the same kind: tool or prompt) is not stored; the
    /// gateway sees that in the answer and proposes another. Names of links that are gone are
    /// dropped silently.
    ///
    /// # Errors
    /// A sentence for the log; the names then hold for this process only and are offered again
    /// at the next list.
    async fn assign(&self, agent: AgentId, new: NameMaps) -> Result<NameMaps, String>;
}

/// Whether a name is of a tool or of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
}

/// The key of a server's own name in the book.
#[must_use]
pub fn book_key(kind: NameKind, own_name: &str) -> Cow<'_, str> {
    match kind {
        NameKind::Prompt => format!("prompt:{own_name}").into(),
        NameKind::Tool if own_name.starts_with("prompt:") || own_name.starts_with("tool:") => {
            format!("tool:{own_name}").into()
        }
        NameKind::Tool => own_name.into(),
    }
}

/// The kind and the server's own name behind a key.
#[must_use]
pub fn read_book_key(key: &str) -> (NameKind, &str) {
    if let Some(name) = key.strip_prefix("prompt:") {
        (NameKind::Prompt, name)
    } else {
        (NameKind::Tool, key.strip_prefix("tool:").unwrap_or(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_either_kind_has_a_key_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for name in ["a", "prompt:a", "tool:a", "tool:prompt:a", "prompt:", ""] {
            for kind in [NameKind::Tool, NameKind::Prompt] {
                let key = book_key(kind, name);
                assert_eq!(read_book_key(&key), (kind, name));
                assert!(seen.insert(key.into_owned()));
            }
        }
    }
}
