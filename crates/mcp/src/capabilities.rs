//! Capabilities of several upstreams as one, for `initialize` and `server/discover`.
//!
//! Capabilities are trees of flags that every revision and extension adds to, so they are merged
//! without knowing them: objects are united, `true` wins over `false`, of other values the first
//! one stays. What the gateway cannot do for its upstreams is removed, what it does itself is set.

use crate::json::{Json, members, write_string};

/// A capabilities object in the making. Key order is that of the first one seen; numbers and
/// unknown values keep their text.
///
/// ```
/// use agentopia_mcp::{Capabilities, Json};
/// let mut all = Capabilities::default();
/// all.merge(&Json::parse(br#"{"tools":{"listChanged":false},"x":1.0}"#).unwrap());
/// all.merge(&Json::parse(br#"{"tools":{"listChanged":true},"resources":{"subscribe":true}}"#).unwrap());
/// all.remove(&["resources", "subscribe"]);
/// all.set(&["prompts", "listChanged"], true);
/// assert_eq!(
///     all.to_json().as_bytes(),
///     br#"{"tools":{"listChanged":true},"x":1.0,"resources":{},"prompts":{"listChanged":true}}"#
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(Vec<(String, Node)>);

#[derive(Clone, PartialEq, Eq)]
enum Node {
    Object(Capabilities),
    Leaf(Vec<u8>),
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object(object) => object.fmt(f),
            Self::Leaf(text) => f.write_str(&String::from_utf8_lossy(text)),
        }
    }
}

impl Capabilities {
    /// Adds the capabilities of one more upstream; anything but an object adds nothing.
    pub fn merge(&mut self, capabilities: &Json<'_>) {
        self.merge_text(capabilities.as_bytes());
    }

    /// Recursion is bounded by the depth that a scan lets pass.
    fn merge_text(&mut self, object: &[u8]) {
        for member in members(object) {
            let text = member.value.as_bytes();
            let node = match self.0.iter_mut().find(|(key, _)| *key == member.key) {
                Some((_, node)) => node,
                None => {
                    let new = if text.first() == Some(&b'{') {
                        Node::Object(Self::default())
                    } else {
                        Node::Leaf(text.to_vec())
                    };
                    self.0.push((member.key.into_owned(), new));
                    // Just pushed; an object is filled below.
                    let Some((_, node)) = self.0.last_mut() else {
                        continue;
                    };
                    node
                }
            };
            match node {
                Node::Object(object) => object.merge_text(text),
                // `"tasks": null` or `false` in one and an object in the other: the object is more.
                Node::Leaf(old)
                    if text.first() == Some(&b'{') && matches!(&old[..], b"null" | b"false") =>
                {
                    let mut object = Self::default();
                    object.merge_text(text);
                    *node = Node::Object(object);
                }
                Node::Leaf(old) if matches!(&old[..], b"null" | b"false") && text == b"true" => {
                    *old = text.to_vec();
                }
                Node::Leaf(_) => {}
            }
        }
    }

    /// Whether there is something at a path that is not `false` or `null`.
    #[must_use]
    pub fn has(&self, path: &[&str]) -> bool {
        let [key, rest @ ..] = path else { return true };
        self.0.iter().any(|(name, node)| {
            name == key
                && match node {
                    Node::Object(object) => object.has(rest),
                    Node::Leaf(text) => rest.is_empty() && !matches!(&text[..], b"null" | b"false"),
                }
        })
    }

    /// Takes out what stands at a path.
    pub fn remove(&mut self, path: &[&str]) {
        match path {
            [] => {}
            [key] => self.0.retain(|(name, _)| name != key),
            [key, rest @ ..] => {
                for (name, node) in &mut self.0 {
                    if name == key
                        && let Node::Object(object) = node
                    {
                        object.remove(rest);
                    }
                }
            }
        }
    }

    /// Puts a value at a path, with the objects on the way; an empty path does nothing.
    pub fn set<'j>(&mut self, path: &[&str], value: impl Into<Json<'j>>) {
        self.set_json(path, &value.into());
    }

    fn set_json(&mut self, path: &[&str], value: &Json<'_>) {
        let [key, rest @ ..] = path else { return };
        let at = self
            .0
            .iter()
            .position(|(name, _)| name == key)
            .unwrap_or_else(|| {
                self.0
                    .push(((*key).to_owned(), Node::Object(Self::default())));
                self.0.len() - 1
            });
        let node = &mut self.0[at].1;
        if rest.is_empty() {
            *node = if value.is_object() {
                let mut object = Self::default();
                object.merge(value);
                Node::Object(object)
            } else {
                Node::Leaf(value.as_bytes().to_vec())
            };
            return;
        }
        if matches!(node, Node::Leaf(_)) {
            *node = Node::Object(Self::default());
        }
        if let Node::Object(object) = node {
            object.set_json(rest, value);
        }
    }

    /// The object's text.
    #[must_use]
    pub fn to_json(&self) -> Json<'static> {
        let mut out = Vec::with_capacity(256);
        self.write(&mut out);
        Json::trusted(out)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (i, (key, node)) in self.0.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_string(out, key);
            out.push(b':');
            match node {
                Node::Object(object) => object.write(out),
                Node::Leaf(text) => out.extend_from_slice(text),
            }
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(all: &[&str]) -> Capabilities {
        let mut capabilities = Capabilities::default();
        for text in all {
            capabilities.merge(&Json::parse(text.as_bytes()).unwrap());
        }
        capabilities
    }

    #[test]
    fn union_of_what_upstreams_can_do() {
        let all = merged(&[
            r#"{"tools":{"listChanged":true},"logging":{},"experimental":{"a":{"v":1e400}},"tasks":null}"#,
            r#"{"tools":{"listChanged":false,"new":[1, 2]},"experimental":{"b":{}},"tasks":{"list":{}}}"#,
            r#"{"tools":false,"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html"]}}}"#,
            "[1]",
        ]);
        assert_eq!(
            all.to_json().as_bytes(),
            br#"{"tools":{"listChanged":true,"new":[1, 2]},"logging":{},"experimental":{"a":{"v":1e400},"b":{}},"tasks":{"list":{}},"extensions":{"io.modelcontextprotocol/ui":{"mimeTypes":["text/html"]}}}"#
        );
        assert!(all.has(&["tools", "listChanged"]));
        assert!(all.has(&["logging"]));
        assert!(!all.has(&["prompts"]));
        assert!(!all.has(&["tools", "listChanged", "deeper"]));
    }

    #[test]
    fn the_order_of_upstreams_does_not_hide_a_capability() {
        let (off, on) = (
            r#"{"a":false,"b":{"c":null}}"#,
            r#"{"a":true,"b":{"c":true}}"#,
        );
        for order in [[off, on], [on, off]] {
            assert_eq!(
                merged(&order).to_json().as_bytes(),
                br#"{"a":true,"b":{"c":true}}"#
            );
        }
    }

    #[test]
    fn set_and_remove_reach_into_objects() {
        let mut all = merged(&[r#"{"resources":{"subscribe":true,"listChanged":true},"x":5}"#]);
        all.remove(&["resources", "subscribe"]);
        all.remove(&["nothing", "here"]);
        all.set(&["x", "y"], false);
        all.set(&["resources", "listChanged"], false);
        all.set(&["logging"], Json::parse(b"{}").unwrap());
        all.set(&[], true);
        assert_eq!(
            all.to_json().as_bytes(),
            br#"{"resources":{"listChanged":false},"x":{"y":false},"logging":{}}"#
        );
        assert!(!all.has(&["resources", "listChanged"]));
    }
}
