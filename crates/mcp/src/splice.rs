//! Changes single members of a message and leaves every other byte as it was (rule 5).
//!
//! Edits are collected, then one pass copies the source around them into one buffer. Removing and
//! inserting take care of commas; objects that are missing on the way (`params`, `_meta`) are made.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::envelope::{Envelope, Field, Places};
use crate::id::Id;
use crate::json::{Json, members, write_string};

/// A changed copy of a message in the making.
///
/// Setting a field twice: the last one counts. Setting an object and something inside of it: the
/// object counts as given.
///
/// ```
/// use agentopia_mcp::{Envelope, Field, Limits, Splice};
/// let list = br#"{"jsonrpc":"2.0", "id":1, "method":"tools/list"}"#;
/// let list = Envelope::scan(&list[..], &Limits::default()).unwrap();
/// let modern = Splice::new(&list)
///     .set(Field::MetaProtocolVersion, "2026-07-28")
///     .set(Field::MetaClientCapabilities, agentopia_mcp::Json::parse(b"{}").unwrap())
///     .finish();
/// assert_eq!(
///     String::from_utf8(modern).unwrap(),
///     concat!(
///         r#"{"jsonrpc":"2.0", "id":1, "method":"tools/list","params":{"_meta":{"#,
///         r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
///         r#""io.modelcontextprotocol/clientCapabilities":{}}}}"#
///     )
/// );
/// ```
#[derive(Debug)]
#[must_use = "nothing is made before `finish`"]
pub struct Splice<'a> {
    source: &'a [u8],
    places: &'a Places,
    edits: SmallVec<[Edit<'a>; 4]>,
    inserts: SmallVec<[Insert<'a>; 2]>,
}

/// Puts `with` in place of `start..end`; `None` takes a member (key to value) out.
#[derive(Debug)]
struct Edit<'a> {
    start: usize,
    end: usize,
    with: Option<Cow<'a, [u8]>>,
}

#[derive(Debug)]
struct Insert<'a> {
    parent: Field,
    key: Cow<'a, str>,
    value: Json<'a>,
}

impl<'a> Splice<'a> {
    /// Starts from a scanned message.
    pub fn new<B: AsRef<[u8]>>(envelope: &'a Envelope<B>) -> Self {
        Self {
            source: envelope.bytes(),
            places: envelope.places(),
            edits: SmallVec::new(),
            inserts: SmallVec::new(),
        }
    }

    /// Gives the message another id.
    pub fn id(self, id: &'a Id) -> Self {
        self.set(Field::Id, id)
    }

    /// Sets a field: replaces its value, or adds it (and the objects that it stands in).
    ///
    /// Nothing happens where the field's object is there but is no object (a `result` that is text).
    pub fn set(mut self, field: Field, value: impl Into<Json<'a>>) -> Self {
        let value = value.into();
        match self.places.span(field) {
            Some(span) => self.edit(span.start, span.end, Some(value)),
            None => self.insert(field.parent(), Cow::Borrowed(field.key()), value),
        }
        self
    }

    /// Takes a field out, with its comma. Nothing happens if it is not there.
    pub fn remove(mut self, field: Field) -> Self {
        if field != Field::Message
            && let Some(span) = self.places.span(field)
        {
            self.edit(self.places.key_start(field), span.end, None);
        }
        self.inserts.retain(|insert| {
            insert.parent != field.parent() || insert.key != field.key() || field == Field::Message
        });
        self
    }

    /// Sets any member of one of the objects of the table (`Message`, `Params`, `ParamsRef`,
    /// `ParamsMeta`, `Result`, `ResultMeta`, `Error`), also one that has no [`Field`], such as
    /// `traceparent` in `_meta`.
    pub fn set_member(mut self, parent: Field, key: &'a str, value: impl Into<Json<'a>>) -> Self {
        if let Some(field) = Field::of(parent, key.as_bytes()) {
            return self.set(field, value);
        }
        match self.member(parent, key) {
            Some((_, start, end)) => self.edit(start, end, Some(value.into())),
            None => self.insert(parent, Cow::Borrowed(key), value.into()),
        }
        self
    }

    /// Takes any member of one of those objects out.
    pub fn remove_member(mut self, parent: Field, key: &str) -> Self {
        if let Some(field) = Field::of(parent, key.as_bytes()) {
            return self.remove(field);
        }
        if let Some((key_start, _, end)) = self.member(parent, key) {
            self.edit(key_start, end, None);
        }
        self.inserts
            .retain(|insert| insert.parent != parent || insert.key != key);
        self
    }

    /// The changed message.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.render_inserts();
        let source = self.source;
        let mut edits = self.edits;
        // Outer edits first where several start at one place, so that the inner ones are skipped.
        edits.sort_by(|a, b| a.start.cmp(&b.start).then(b.end.cmp(&a.end)));
        let added: usize = edits
            .iter()
            .filter_map(|e| e.with.as_ref())
            .map(|w| w.len())
            .sum();
        let mut out = Vec::with_capacity(source.len() + added);
        let mut done = 0;
        let mut next = 0;
        while let Some(edit) = edits.get(next) {
            next += 1;
            // Inside of something already replaced or removed. An insert stands before a closing
            // brace, never at the start of another edit.
            if edit.start < done {
                continue;
            }
            match &edit.with {
                Some(with) => {
                    out.extend_from_slice(&source[done..edit.start]);
                    out.extend_from_slice(with);
                    done = edit.end;
                }
                None => {
                    let mut end = edit.end;
                    while let Some(more) = edits.get(next) {
                        if more.start < end {
                            next += 1;
                        } else if more.with.is_none() && only_comma(&source[end..more.start]) {
                            end = more.end;
                            next += 1;
                        } else {
                            break;
                        }
                    }
                    let (start, end) = with_comma(source, edit.start, end);
                    out.extend_from_slice(&source[done..start.max(done)]);
                    done = end;
                }
            }
        }
        out.extend_from_slice(&source[done..]);
        out
    }

    fn edit(&mut self, start: usize, end: usize, with: Option<Json<'a>>) {
        // A later word about the same value replaces an earlier one. Nothing else ends where it
        // ends: an object that ends with it also has its brace.
        self.edits.retain(|old| old.end != end);
        let with = with.map(Json::into_cow);
        self.edits.push(Edit { start, end, with });
    }

    fn insert(&mut self, parent: Field, key: Cow<'a, str>, value: Json<'a>) {
        if !parent.is_walked() {
            return;
        }
        self.inserts
            .retain(|old| old.parent != parent || old.key != key);
        self.inserts.push(Insert { parent, key, value });
    }

    /// Key start, value start and value end of a member without a field of its own.
    fn member(&self, parent: Field, key: &str) -> Option<(usize, usize, usize)> {
        let span = self.places.span(parent).filter(|_| parent.is_walked())?;
        let base = span.start;
        members(&self.source[span])
            .filter(|m| m.key == key)
            .last()
            .map(|m| {
                (
                    base + m.key_start,
                    base + m.value_span.start,
                    base + m.value_span.end,
                )
            })
    }

    /// Turns the inserts into edits: one for each object that is there.
    fn render_inserts(&mut self) {
        if self.inserts.is_empty() {
            return;
        }
        let inserts = std::mem::take(&mut self.inserts);
        // The nearest object that is there, for each insert; below it everything is made new.
        let mut anchors: SmallVec<[Field; 2]> = SmallVec::new();
        for insert in &inserts {
            let mut anchor = insert.parent;
            while self.places.span(anchor).is_none() && anchor != Field::Message {
                anchor = anchor.parent();
            }
            if !anchors.contains(&anchor) {
                anchors.push(anchor);
            }
        }
        for anchor in anchors {
            let Some(span) = self.places.span(anchor) else {
                continue;
            };
            let mut text = Vec::with_capacity(128);
            match self.source.get(span.clone()) {
                Some([b'{', ..]) => {
                    let mut first = !self.keeps_a_member(span.clone());
                    self.write_members(&inserts, anchor, &mut first, &mut text);
                    let end = span.end - 1;
                    self.edits.push(Edit {
                        start: end,
                        end,
                        with: Some(text.into()),
                    });
                }
                Some(b"null") => {
                    text.push(b'{');
                    self.write_members(&inserts, anchor, &mut true, &mut text);
                    text.push(b'}');
                    self.edits.push(Edit {
                        start: span.start,
                        end: span.end,
                        with: Some(text.into()),
                    });
                }
                _ => {}
            }
        }
    }

    /// Writes the new members of `object`, new objects and their members included.
    fn write_members(
        &self,
        inserts: &[Insert<'a>],
        object: Field,
        first: &mut bool,
        out: &mut Vec<u8>,
    ) {
        let mut key = |key: &str, out: &mut Vec<u8>| {
            if !std::mem::take(first) {
                out.push(b',');
            }
            write_string(out, key);
            out.push(b':');
        };
        for insert in inserts.iter().filter(|insert| insert.parent == object) {
            key(&insert.key, out);
            out.extend_from_slice(insert.value.as_bytes());
        }
        for &child in Field::ALL {
            let new = child != Field::Message
                && child.parent() == object
                && child.is_walked()
                && self.places.span(child).is_none()
                && inserts
                    .iter()
                    .all(|i| i.parent != object || i.key != child.key())
                && inserts
                    .iter()
                    .any(|i| i.parent == child || i.parent.parent() == child);
            if new {
                key(child.key(), out);
                out.push(b'{');
                self.write_members(inserts, child, &mut true, out);
                out.push(b'}');
            }
        }
    }

    /// Whether the object has a member that is not taken out.
    fn keeps_a_member(&self, object: std::ops::Range<usize>) -> bool {
        let base = object.start;
        members(&self.source[object]).any(|member| {
            let start = base + member.key_start;
            !self
                .edits
                .iter()
                .any(|edit| edit.with.is_none() && edit.start == start)
        })
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\r')
}

/// Whether two members are neighbours.
fn only_comma(between: &[u8]) -> bool {
    between.iter().all(|&b| is_space(b) || b == b',')
}

/// Widens a run of members by the one comma that has to go with it.
fn with_comma(source: &[u8], start: usize, end: usize) -> (usize, usize) {
    let before = source[..start].iter().rposition(|&b| !is_space(b));
    if let Some(at) = before
        && source[at] == b','
    {
        return (at, end);
    }
    let after = source[end..].iter().position(|&b| !is_space(b));
    match after {
        Some(offset) if source[end + offset] == b',' => (start, end + offset + 1),
        _ => (start, end),
    }
}

#[cfg(test)]
mod tests;
