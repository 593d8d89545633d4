//! What tools say of themselves, pinned (TOOL-10).
//!
//! A server can change what it tells models after people looked at it. So its tools are recorded when they are
//! first listed; whatever is listed later is compared with that, told in the timeline, and, where the owner wants
//! it, held back from agents until it is accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// What of a tool models read, or are bound by.
const FIELDS: [&str; 6] = [
    "name",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
];

/// The tools of a server by name, each with what counts of it.
pub type Definitions = BTreeMap<String, Value>;

/// For each tool, the hash of what counts of it.
pub type Hashes = BTreeMap<String, String>;

/// What of a listed tool counts.
#[must_use]
pub fn what_counts(tool: &Value) -> Value {
    let fields = FIELDS
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), tool.get(*field)?.clone())));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// What counts of listed tools, by name. Of two of one name the first counts, as it does for agents.
#[must_use]
pub fn definitions(tools: &[Value]) -> Definitions {
    let mut all = Definitions::new();
    for tool in tools {
        if let Some(name) = tool["name"].as_str() {
            all.entry(name.to_owned())
                .or_insert_with(|| what_counts(tool));
        }
    }
    all
}

/// The hashes of definitions.
#[must_use]
pub fn hashes(definitions: &Definitions) -> Hashes {
    let hashed = definitions
        .iter()
        .map(|(name, tool)| (name.clone(), hash(tool)));
    hashed.collect()
}

/// The hash of what counts of a tool: the same whatever the order of its fields and the space between them.
#[must_use]
pub fn hash(tool: &Value) -> String {
    let mut text = String::new();
    canonical(&what_counts(tool), &mut text);
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            text.push('{');
            for (name, value) in sorted {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// How a server's tools differ from those that were accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Diff {
    /// Tools that were not there.
    pub added: BTreeSet<String>,
    /// Tools that are not there any more.
    pub removed: BTreeSet<String>,
    /// Tools that are described otherwise, each with the fields that differ.
    pub changed: BTreeMap<String, Vec<String>>,
}

impl Diff {
    /// What `now` is other than `before`.
    #[must_use]
    pub fn between(before: &Definitions, now: &Definitions) -> Self {
        let mut diff = Self::default();
        for (name, tool) in now {
            match before.get(name) {
                None => drop(diff.added.insert(name.clone())),
                Some(known) if hash(known) == hash(tool) => {}
                Some(known) => {
                    let differs = |field: &&&str| known.get(**field) != tool.get(**field);
                    let fields = FIELDS.iter().filter(differs);
                    let fields = fields.map(|field| (*field).to_owned()).collect();
                    diff.changed.insert(name.clone(), fields);
                }
            }
        }
        let gone = before.keys().filter(|name| !now.contains_key(*name));
        diff.removed = gone.cloned().collect();
        diff
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// For the timeline: `new: a; changed: b (description); gone: c`.
    #[must_use]
    pub fn words(&self) -> String {
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        let mut parts = Vec::new();
        if !self.added.is_empty() {
            parts.push(format!("new: {}", list(&self.added)));
        }
        if !self.changed.is_empty() {
            let changed = self
                .changed
                .iter()
                .map(|(name, fields)| format!("{name} ({})", fields.join(", ")));
            parts.push(format!(
                "changed: {}",
                changed.collect::<Vec<_>>().join(", ")
            ));
        }
        if !self.removed.is_empty() {
            parts.push(format!("gone: {}", list(&self.removed)));
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_and_extras_do_not_count_and_what_models_read_does() {
        let one = json!({"name": "a", "description": "d", "inputSchema": {"type": "object", "x": [1, 2]}});
        let same = json!({"inputSchema": {"x": [1, 2], "type": "object"}, "_meta": {"n": 1}, "description": "d", "name": "a"});
        assert_eq!(hash(&one), hash(&same));
        for (field, value) in [
            ("description", json!("D")),
            ("inputSchema", json!({"type": "object", "x": [2, 1]})),
            ("title", json!("A")),
            ("annotations", json!({"readOnlyHint": true})),
        ] {
            let mut other = one.clone();
            other[field] = value;
            assert_ne!(hash(&one), hash(&other), "{field}");
        }
        // What would run together without marks between the parts.
        assert_ne!(
            hash(&json!({"name": "a", "inputSchema": {"b": ["c", "d"]}})),
            hash(&json!({"name": "a", "inputSchema": {"b": ["c,d"]}}))
        );
    }

    #[test]
    fn a_difference_names_what_is_new_what_is_gone_and_which_fields_changed() {
        let tools = |tools: Value| definitions(tools.as_array().unwrap());
        let before = tools(json!([{"name": "a", "description": "1"}, {"name": "b"}]));
        let now = tools(json!([{"name": "a", "description": "2", "title": "A"}, {"name": "c"}]));
        let diff = Diff::between(&before, &now);
        assert_eq!(
            diff.words(),
            "new: c; changed: a (title, description); gone: b"
        );
        assert!(Diff::between(&before, &before).is_empty());
    }
}
