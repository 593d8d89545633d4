//! List results of several upstreams in one: items are taken out and put together as text.
//!
//! An item is never parsed into a type, so annotations, icons, schemas and what later revisions add
//! survive (rule 5); only its key and its description can be changed. The aggregating client of an upstream asks for all
//! pages ([`ListPage::next_cursor`]) and keeps the [`ListItem`]s.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::envelope::{Envelope, Field};
use crate::era::method;
use crate::json::{Json, encode_string, members};
use crate::jsonrpc::{ObjectWriter, modern_result};

/// The four lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListKind {
    /// tools/list
    Tools,
    /// resources/list
    Resources,
    /// resources/templates/list
    ResourceTemplates,
    /// prompts/list
    Prompts,
}

impl ListKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Tools,
        Self::Resources,
        Self::ResourceTemplates,
        Self::Prompts,
    ];

    /// The method that asks for it.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => method::TOOLS_LIST,
            Self::Resources => method::RESOURCES_LIST,
            Self::ResourceTemplates => method::RESOURCE_TEMPLATES_LIST,
            Self::Prompts => method::PROMPTS_LIST,
        }
    }

    /// The list that a method asks for.
    #[must_use]
    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.method() == method)
    }

    /// Where the items stand in a result.
    #[must_use]
    pub const fn field(self) -> Field {
        match self {
            Self::Tools => Field::ResultTools,
            Self::Resources => Field::ResultResources,
            Self::ResourceTemplates => Field::ResultResourceTemplates,
            Self::Prompts => Field::ResultPrompts,
        }
    }

    /// What identifies an item.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::ResourceTemplates => "uriTemplate",
        }
    }
}

/// A tool, resource, template or prompt as its upstream described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListItem {
    raw: Bytes,
    key: String,
    key_span: Range<usize>,
}

impl ListItem {
    /// Reads one item; `None` if it is no object or has no usable key.
    #[must_use]
    pub fn new(kind: ListKind, raw: &Json<'_>) -> Option<Self> {
        let raw = Bytes::copy_from_slice(raw.as_bytes());
        let mut keys = members(&raw).filter(|m| m.key == kind.key());
        let (key, key_span) = {
            let found = keys.next()?;
            // Two keys: the upstream's other readers may see the other one.
            if keys.next().is_some() {
                return None;
            }
            (found.value.text()?.into_owned(), found.value_span)
        };
        drop(keys);
        Some(Self { raw, key, key_span })
    }

    /// Its name, uri or uriTemplate, decoded.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its text.
    #[must_use]
    pub fn raw(&self) -> Json<'_> {
        Json::trusted(&self.raw[..])
    }

    /// One of its members, such as `inputSchema`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Json<'_>> {
        members(&self.raw)
            .filter(|m| m.key == key)
            .last()
            .map(|m| m.value)
    }

    /// Its text under another key; every other byte stays.
    #[must_use]
    pub fn renamed(&self, key: &str) -> Json<'_> {
        if key == self.key {
            return self.raw();
        }
        let name = encode_string(key);
        let mut out = Vec::with_capacity(self.raw.len() + name.len());
        out.extend_from_slice(&self.raw[..self.key_span.start]);
        out.extend_from_slice(&name);
        out.extend_from_slice(&self.raw[self.key_span.end..]);
        Json::trusted(out)
    }

    /// The same with another `description`; every other byte stays. One that has none gets it in front.
    #[must_use]
    pub fn described(&self, text: &str) -> Self {
        let text = encode_string(text);
        let mut out = Vec::with_capacity(self.raw.len() + text.len() + 16);
        let mut key_span = self.key_span.clone();
        let mut put = |out: &mut Vec<u8>, old: Range<usize>, new: &[&[u8]]| {
            new.iter().for_each(|part| out.extend_from_slice(part));
            if old.start < self.key_span.start {
                let added: usize = new.iter().map(|part| part.len()).sum();
                let moved = |at: usize| at + added - old.len();
                key_span = moved(key_span.start)..moved(key_span.end);
            }
        };
        // More than one: readers differ in which they take, so each gets it.
        let spans = members(&self.raw).filter(|member| member.key == "description");
        let spans: Vec<_> = spans.map(|member| member.value_span).collect();
        let mut at = 0;
        for span in &spans {
            out.extend_from_slice(&self.raw[at..span.start]);
            put(&mut out, span.clone(), &[&text]);
            at = span.end;
        }
        if spans.is_empty() {
            // Just behind the brace. It has a key, so that something follows.
            let brace = memchr::memchr(b'{', &self.raw).map_or(0, |brace| brace + 1);
            out.extend_from_slice(&self.raw[..brace]);
            put(&mut out, brace..brace, &[b"\"description\":", &text, b","]);
            at = brace;
        }
        out.extend_from_slice(&self.raw[at..]);
        Self {
            raw: out.into(),
            key: self.key.clone(),
            key_span,
        }
    }
}

/// One page of an upstream's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The usable items.
    pub items: Vec<ListItem>,
    /// Items that were left out because they have no usable key.
    pub unusable: usize,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
    /// How long it may be cached, if the upstream is modern.
    pub ttl_ms: Option<u64>,
}

impl ListPage {
    /// Takes a response apart; a response without the list is an empty page.
    #[must_use]
    pub fn read<B: AsRef<[u8]>>(kind: ListKind, response: &Envelope<B>) -> Self {
        let mut page = Self {
            next_cursor: response
                .text(Field::ResultNextCursor)
                .filter(|cursor| !cursor.is_empty())
                .map(Cow::into_owned),
            ttl_ms: response.number(Field::ResultTtlMs),
            ..Self::default()
        };
        if let Some(array) = response.raw(kind.field()) {
            for element in array.elements() {
                match ListItem::new(kind, &element) {
                    Some(item) => page.items.push(item),
                    None => page.unusable += 1,
                }
            }
        }
        page
    }
}

/// An aggregated list result in the making.
///
/// ```
/// use agentopia_mcp::{Envelope, Json, Limits, ListKind, ListPage, ListResult};
/// let answer = br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[
///   {"name":"now","inputSchema":{"type":"object"},"x-new":1e2}]}}"#;
/// let answer = Envelope::scan(&answer[..], &Limits::default()).unwrap();
/// let page = ListPage::read(ListKind::Tools, &answer);
/// let mut all = ListResult::session(ListKind::Tools);
/// for item in &page.items {
///     all.push(&item.renamed("time__now"));
/// }
/// assert_eq!(
///     all.finish(None).as_bytes(),
///     br#"{"tools":[{"name":"time__now","inputSchema":{"type":"object"},"x-new":1e2}]}"#
/// );
/// ```
#[derive(Debug)]
pub struct ListResult {
    object: ObjectWriter,
    array: Vec<u8>,
    kind: ListKind,
}

impl ListResult {
    /// For a session-era client.
    #[must_use]
    pub fn session(kind: ListKind) -> Self {
        Self {
            object: ObjectWriter::new(),
            array: Vec::new(),
            kind,
        }
    }

    /// For a modern client (rule 19): `ttl_ms` is the smallest of the upstreams'.
    #[must_use]
    pub fn modern(kind: ListKind, server_info: &Json<'_>, ttl_ms: u64) -> Self {
        let mut object = modern_result("complete", server_info);
        object.raw("ttlMs", ttl_ms).text("cacheScope", "private");
        Self {
            object,
            array: Vec::new(),
            kind,
        }
    }

    /// Adds an item.
    pub fn push(&mut self, item: &Json<'_>) {
        if !self.array.is_empty() {
            self.array.push(b',');
        }
        self.array.extend_from_slice(item.as_bytes());
    }

    /// The result object.
    #[must_use]
    pub fn finish(mut self, next_cursor: Option<&str>) -> Json<'static> {
        let out = self.object.open_array(self.kind.field().key());
        out.append(&mut self.array);
        out.push(b']');
        if let Some(cursor) = next_cursor {
            self.object.text("nextCursor", cursor);
        }
        self.object.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Limits;

    #[test]
    fn items_keep_every_byte_but_their_description() {
        let item = |text: &str| {
            let raw = Json::parse(text.as_bytes()).unwrap().into_owned();
            ListItem::new(ListKind::Tools, &raw).unwrap()
        };
        for (before, after, renamed) in [
            (
                r#"{ "description": "old", "name":"a", "x":{"description":"in"}, "n":1.0 }"#,
                r#"{ "description": "n\"w", "name":"a", "x":{"description":"in"}, "n":1.0 }"#,
                r#"{ "description": "n\"w", "name":"bc", "x":{"description":"in"}, "n":1.0 }"#,
            ),
            (
                r#"{"name":"a","description":"","description":7}"#,
                r#"{"name":"a","description":"n\"w","description":"n\"w"}"#,
                r#"{"name":"bc","description":"n\"w","description":"n\"w"}"#,
            ),
            (
                r#" {"name":"a"}"#,
                r#"{"description":"n\"w","name":"a"}"#,
                r#"{"description":"n\"w","name":"bc"}"#,
            ),
        ] {
            let described = item(before).described("n\"w");
            let text = |json: Json<'_>| String::from_utf8(json.as_bytes().to_vec()).unwrap();
            assert_eq!(text(described.raw()).trim_start(), after);
            assert_eq!(text(described.renamed("bc")).trim_start(), renamed);
            assert_eq!(described.key(), "a");
        }
    }

    #[test]
    fn items_keep_every_byte_but_their_key() {
        let text = br#"{"jsonrpc":"2.0","id":1,"result":{"nextCursor":"c2","ttlMs":900,"resources":[
            { "title" : "name: \"x\"", "uri":"a:\/\/b" , "size":9007199254740993.0, "n":{"uri":"in"} },
            {"title":"no uri"}, 7, {"uri":5}, {"uri":"a","uri":"b"}]}}"#;
        let answer = Envelope::scan(&text[..], &Limits::default()).unwrap();
        let page = ListPage::read(ListKind::Resources, &answer);
        assert_eq!((page.items.len(), page.unusable), (1, 4));
        assert_eq!(
            (page.next_cursor.as_deref(), page.ttl_ms),
            (Some("c2"), Some(900))
        );
        let item = &page.items[0];
        assert_eq!(item.key(), "a://b");
        assert_eq!(item.get("size").unwrap().as_bytes(), b"9007199254740993.0");
        assert_eq!(
            item.renamed("c\"").as_bytes(),
            br#"{ "title" : "name: \"x\"", "uri":"c\"" , "size":9007199254740993.0, "n":{"uri":"in"} }"#
        );
        assert_eq!(item.renamed("a://b").as_bytes(), item.raw().as_bytes());
        assert_eq!(ListPage::read(ListKind::Tools, &answer).items.len(), 0);
    }

    #[test]
    fn modern_lists_say_how_long_and_for_whom() {
        let info = Json::parse(br#"{"name":"g"}"#).unwrap();
        let mut list = ListResult::modern(ListKind::Prompts, &info, 60_000);
        list.push(&Json::parse(br#"{"name":"a"}"#).unwrap());
        list.push(&Json::parse(br#"{"name":"b"}"#).unwrap());
        let value: serde_json::Value = list.finish(Some("p2")).to().unwrap();
        let wanted = serde_json::json!({
            "resultType": "complete", "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "g"}},
            "ttlMs": 60000, "cacheScope": "private",
            "prompts": [{"name": "a"}, {"name": "b"}], "nextCursor": "p2"
        });
        assert_eq!(value, wanted);
        let empty = ListResult::session(ListKind::Tools).finish(None);
        assert_eq!(empty.as_bytes(), br#"{"tools":[]}"#);
        for kind in ListKind::ALL {
            assert_eq!(ListKind::of_method(kind.method()), Some(kind));
        }
    }
}
