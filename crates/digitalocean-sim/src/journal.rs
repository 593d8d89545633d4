//! The journal: every request that arrived, what became of it, and which droplets it created. A test
//! counts creations by tag here.
//!
//! No token stands in it, only its name; and no user-data, only its length and SHA-256: it may hold an
//! enrolment token.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::faults::RequestFault;
use crate::state::DropletId;

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JournalEntry {
    /// Counts requests from 1.
    pub number: u64,
    /// When it arrived.
    pub at: DateTime<Utc>,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query as it was sent.
    pub query: Option<String>,
    /// The token's name; none where it was missing or unknown.
    pub token: Option<String>,
    /// The body as JSON, user-data digested; none where there was none.
    pub body: Option<Value>,
    /// The answer's id, as in its `x-request-id`.
    pub request_id: String,
    /// The status that was answered; none where the answer was lost.
    pub status: Option<u16>,
    /// The status that the API itself would have answered; none where it never got the request.
    pub real_status: Option<u16>,
    /// The fault that came in between.
    pub fault: Option<RequestFault>,
    /// The droplets that it created, whatever was answered.
    pub created: Vec<CreatedDroplet>,
}

/// A droplet that a request created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreatedDroplet {
    /// Its id.
    pub id: DropletId,
    /// Its name.
    pub name: String,
    /// Its tags at that time.
    pub tags: Vec<String>,
}

/// Which entries to show. What is not set does not restrict.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalFilter {
    /// Only this method.
    pub method: Option<String>,
    /// Only exactly this path.
    pub path: Option<String>,
    /// Only requests that created a droplet with this tag.
    pub created_tag: Option<String>,
    /// Only entries after this number.
    pub after: u64,
}

/// What was created with one tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Creations {
    /// Requests that created something.
    pub requests: u64,
    /// What they created, gone or not.
    pub droplets: Vec<DropletId>,
}

/// The entries, oldest first.
#[derive(Debug)]
pub(crate) struct Journal {
    entries: VecDeque<JournalEntry>,
    most: usize,
    written: u64,
}

impl Journal {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            most,
            written: 0,
        }
    }

    /// Writes an entry and numbers it.
    pub(crate) fn write(&mut self, mut entry: JournalEntry) {
        self.written += 1;
        entry.number = self.written;
        if self.entries.len() == self.most {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    pub(crate) fn read(&self, filter: &JournalFilter) -> Vec<JournalEntry> {
        self.entries
            .iter()
            .filter(|entry| filter.shows(entry))
            .cloned()
            .collect()
    }

    /// Creations by tag.
    pub(crate) fn creations(&self) -> BTreeMap<String, Creations> {
        let mut by_tag = BTreeMap::<String, Creations>::new();
        for entry in &self.entries {
            let mut counted = std::collections::BTreeSet::new();
            for droplet in &entry.created {
                for tag in &droplet.tags {
                    let creations = by_tag.entry(tag.clone()).or_default();
                    creations.droplets.push(droplet.id);
                    // A request that made two droplets is still one request.
                    creations.requests += u64::from(counted.insert(tag));
                }
            }
        }
        by_tag
    }
}

impl JournalFilter {
    fn shows(&self, entry: &JournalEntry) -> bool {
        let tagged = |tag: &String| entry.created.iter().any(|made| made.tags.contains(tag));
        entry.number > self.after
            && (self.method.as_ref()).is_none_or(|m| m.eq_ignore_ascii_case(&entry.method))
            && self.path.as_ref().is_none_or(|path| *path == entry.path)
            && self.created_tag.as_ref().is_none_or(tagged)
    }
}

/// A body as the journal keeps it.
pub(crate) fn digest_body(body: &[u8]) -> Option<Value> {
    if body.is_empty() {
        return None;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return Some(digest(body));
    };
    if let Some(user_data) = value.get_mut("user_data") {
        *user_data = match user_data.as_str() {
            Some(text) => digest(text.as_bytes()),
            None => digest(user_data.to_string().as_bytes()),
        };
    }
    Some(value)
}

fn digest(bytes: &[u8]) -> Value {
    json!({"bytes": bytes.len(), "sha256": hex::encode(Sha256::digest(bytes))})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_digested() {
        let kept = digest_body(br#"{"name": "a", "user_data": "enr_secret"}"#).unwrap();
        assert_eq!(kept["name"], "a");
        assert_eq!(kept["user_data"]["bytes"], 10);
        assert!(!kept.to_string().contains("enr_secret"));
        assert!(
            !digest_body(b"enr_secret, no JSON")
                .unwrap()
                .to_string()
                .contains("enr_secret")
        );
        assert_eq!(digest_body(b""), None);
    }
}
