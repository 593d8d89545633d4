//! Contexts: the servers that somebody is signed in to, each with its token.
//!
//! They stand in `$XDG_CONFIG_HOME/agentopia/contexts.toml`, readable by the owner alone; [`file`]
//! reads and writes it.

mod file;

use std::collections::BTreeMap;

use agentopia_domain::ApiTokenId;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

pub(crate) use file::ContextFile;

/// A server that somebody is signed in to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Context {
    /// The server.
    pub(crate) url: Url,
    /// Who.
    pub(crate) email: String,
    /// The personal token.
    #[serde(serialize_with = "agentopia_api::expose::expose")]
    pub(crate) token: SecretString,
    /// Its id, to take it back when signing out; absent for a token made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_id: Option<ApiTokenId>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// All of them, and which one is used.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Contexts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// The name of the one used, if it still exists.
    pub(crate) fn current(&self) -> Option<&str> {
        let name = self.current.as_deref()?;
        self.contexts.contains_key(name).then_some(name)
    }

    /// All of them, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Context)> {
        self.contexts
            .iter()
            .map(|(name, context)| (name.as_str(), context))
    }

    /// A context for the server at `url`: the current one if it is, else the first.
    pub(crate) fn of_server(&self, url: &Url) -> Option<String> {
        self.current()
            .and_then(|name| self.contexts.get_key_value(name))
            .into_iter()
            .chain(&self.contexts)
            .find(|(_, context)| context.url == *url)
            .map(|(name, _)| name.clone())
    }

    /// Adds or replaces one and makes it the current one.
    pub(crate) fn put(&mut self, name: &str, context: Context) -> Option<Context> {
        self.current = Some(name.to_owned());
        self.contexts.insert(name.to_owned(), context)
    }

    /// Takes one out. If it was the current one, there is none any more: a command must not run
    /// against another server than its user thinks.
    pub(crate) fn take(&mut self, name: &str) -> Option<Context> {
        let taken = self.contexts.remove(name);
        if self.current.as_deref() == Some(name) {
            self.current = None;
        }
        taken
    }

    /// Makes one the current one; `false` if there is none of that name.
    pub(crate) fn switch(&mut self, name: &str) -> bool {
        let known = self.contexts.contains_key(name);
        if known {
            self.current = Some(name.to_owned());
        }
        known
    }
}

/// The name that a context gets where none was given: host and port.
pub(crate) fn usual_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or("server");
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn context(url: &str) -> Context {
        Context {
            url: url.parse().unwrap(),
            email: "a@b.example".into(),
            token: SecretString::from("pat_very-secret"),
            token_id: None,
            expires_at: None,
        }
    }

    #[test]
    fn signing_in_switches_and_signing_out_leaves_none() {
        let mut contexts = Contexts::default();
        assert_eq!(contexts.current(), None);
        contexts.put("a", context("http://a.example"));
        contexts.put("b", context("http://b.example"));
        assert_eq!(contexts.current(), Some("b"));
        assert!(contexts.switch("a"));
        assert!(!contexts.switch("c"));
        let url = "http://b.example".parse().unwrap();
        assert_eq!(contexts.of_server(&url).as_deref(), Some("b"));
        assert!(contexts.take("a").is_some());
        assert_eq!(contexts.current(), None);
    }

    #[test]
    fn a_token_is_not_in_debug_output() {
        let mut contexts = Contexts::default();
        contexts.put("a", context("http://a.example"));
        assert!(!format!("{contexts:?}").contains("very-secret"));
    }

    #[test]
    fn names_come_from_the_address() {
        let name = |url: &str| usual_name(&url.parse().unwrap());
        assert_eq!(name("http://127.0.0.1:8080"), "127.0.0.1:8080");
        assert_eq!(name("https://tools.example"), "tools.example");
    }
}
