//! Borrowed JSON text: a value that is known to be well formed and is passed on as bytes.
//!
//! [`Json`] is what spans of an envelope look like from outside and what a splice takes in. It can
//! only be made from text that was checked or that this crate wrote, so that no splice can produce
//! a broken message.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::envelope::lex::Lexer;
use crate::envelope::{Limits, ScanError};

/// The text of one JSON value, without surrounding whitespace.
///
/// ```
/// use agentopia_mcp::Json;
/// let json = Json::parse(br#" {"name":"now","n":1e400} "#).unwrap();
/// assert_eq!(json.get("n").unwrap().as_bytes(), b"1e400");
/// assert_eq!(json.get("name").unwrap().text().as_deref(), Some("now"));
/// assert!(Json::parse(b"{").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Json<'a>(Cow<'a, [u8]>);

impl<'a> Json<'a> {
    /// Text that is already known to be one well-formed JSON value.
    pub(crate) fn trusted(text: impl Into<Cow<'a, [u8]>>) -> Self {
        Self(text.into())
    }

    /// Checks `text` and takes it without the whitespace around it.
    ///
    /// # Errors
    /// When it is not exactly one JSON value in UTF-8, or nested deeper than [`Limits::default`].
    pub fn parse(text: &'a [u8]) -> Result<Self, ScanError> {
        let span = Lexer::check(text, &Limits::default())?;
        Ok(Self::trusted(&text[span]))
    }

    /// A JSON string with this text.
    #[must_use]
    pub fn string(text: &str) -> Json<'static> {
        Json::trusted(encode_string(text))
    }

    /// Whatever serde makes of `value`.
    ///
    /// # Errors
    /// When the value cannot be written as JSON (a map with keys that are no strings).
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Json<'static>, serde_json::Error> {
        serde_json::to_vec(value).map(Json::trusted)
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same value, borrowed from this one.
    #[must_use]
    pub fn borrowed(&self) -> Json<'_> {
        Json::trusted(self.as_bytes())
    }

    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> Json<'static> {
        Json(Cow::Owned(self.0.into_owned()))
    }

    pub(crate) fn into_cow(self) -> Cow<'a, [u8]> {
        self.0
    }

    /// The text as an owned buffer, copied only if it was borrowed.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.0.into_owned())
    }

    /// The decoded text if this is a string (and its escapes make sense), else `None`.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        decode_string(&self.0)
    }

    /// Parses into a type: for what the gateway itself must understand, not for pass-through.
    ///
    /// # Errors
    /// When the value does not fit the type.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    /// True for `{…}`.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// True for `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        &*self.0 == b"null"
    }

    /// The members of an object in order; nothing if it is none.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        members(&self.0)
    }

    /// The value of the last member called `key` (as most parsers read it).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Json<'_>> {
        self.members()
            .filter(|m| m.key == key)
            .last()
            .map(|m| m.value)
    }

    /// The elements of an array in order; nothing if it is none.
    pub fn elements(&self) -> impl Iterator<Item = Json<'_>> {
        elements(&self.0).map(|span| Json::trusted(&self.0[span]))
    }
}

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key, decoded.
    pub key: Cow<'a, str>,
    /// The value.
    pub value: Json<'a>,
    /// Where the key starts (its quote), counted from the object's start.
    pub(crate) key_start: usize,
    /// Where the value stands, counted from the object's start.
    pub(crate) value_span: Range<usize>,
}

/// Members of the object in `text`, which must have been checked; stops at the first flaw.
pub(crate) fn members(text: &[u8]) -> impl Iterator<Item = Member<'_>> {
    let mut lexer = Lexer::new(text, &Limits::default());
    let mut more = lexer.open(b'{', b'}');
    std::iter::from_fn(move || {
        if !more {
            return None;
        }
        let key_start = lexer.at();
        lexer.string().ok()?;
        let raw_key = &text[key_start..lexer.at()];
        lexer.colon().ok()?;
        let start = lexer.at();
        lexer.skip_value().ok()?;
        let value_span = start..lexer.at();
        more = lexer.comma();
        Some(Member {
            // A key with broken surrogates equals no key that anyone asks for.
            key: decode_string(raw_key).unwrap_or_else(|| String::from_utf8_lossy(raw_key)),
            value: Json::trusted(&text[value_span.clone()]),
            key_start,
            value_span,
        })
    })
}

/// Spans of the elements of the array in `text`, which must have been checked.
pub(crate) fn elements(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut lexer = Lexer::new(text, &Limits::default());
    let mut more = lexer.open(b'[', b']');
    std::iter::from_fn(move || {
        if !more {
            return None;
        }
        let start = lexer.at();
        lexer.skip_value().ok()?;
        let span = start..lexer.at();
        more = lexer.comma();
        Some(span)
    })
}

/// Decodes the raw text of a JSON string (with its quotes). `None` if it is no string, or if it
/// holds half a surrogate pair, which no UTF-8 text can express.
pub(crate) fn decode_string(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(raw).ok().map(Cow::Owned)
}

/// The text of a JSON string.
pub(crate) fn encode_string(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    out
}

/// Appends the text of a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    // Writing a str into memory cannot fail; nothing is lost by not looking.
    let _written = serde_json::to_writer(out, text);
}

impl From<&str> for Json<'_> {
    /// A JSON string with this text (not JSON text: for that, [`Json::parse`]).
    fn from(text: &str) -> Self {
        Json::string(text)
    }
}

impl From<u64> for Json<'_> {
    fn from(n: u64) -> Self {
        Json::trusted(n.to_string().into_bytes())
    }
}

impl From<bool> for Json<'_> {
    fn from(b: bool) -> Self {
        Json::trusted(if b { &b"true"[..] } else { &b"false"[..] })
    }
}

impl<'a> From<&'a RawValue> for Json<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Json::trusted(raw.get().as_bytes())
    }
}

impl<'a> From<&'a Json<'_>> for Json<'a> {
    fn from(json: &'a Json<'_>) -> Self {
        json.borrowed()
    }
}

impl From<&serde_json::Value> for Json<'_> {
    fn from(value: &serde_json::Value) -> Self {
        Json::trusted(value.to_string().into_bytes())
    }
}

impl fmt::Debug for Json<'_> {
    /// Length only: values can hold what must not stand in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_elements_come_in_order_with_their_text() {
        let json =
            Json::parse(br#"{"a" : [1, {"x":"]"} ,"\u00e9"], "b\u0041":null,"a":2}"#).unwrap();
        let seen: Vec<_> = json
            .members()
            .map(|m| {
                (
                    m.key.into_owned(),
                    String::from_utf8_lossy(m.value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let wanted = [
            ("a", r#"[1, {"x":"]"} ,"\u00e9"]"#),
            ("bA", "null"),
            ("a", "2"),
        ];
        assert_eq!(seen, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let first = json.members().next().unwrap().value;
        let elements: Vec<_> = first.elements().map(|e| e.as_bytes().to_vec()).collect();
        assert_eq!(
            elements,
            [
                b"1".to_vec(),
                br#"{"x":"]"}"#.to_vec(),
                br#""\u00e9""#.to_vec()
            ]
        );
        assert_eq!(
            json.get("a").unwrap().as_bytes(),
            b"2",
            "the last one counts"
        );
        assert_eq!(json.elements().count(), 0);
        assert_eq!(Json::from(3).members().count(), 0);
    }

    #[test]
    fn debug_shows_no_content() {
        assert_eq!(format!("{:?}", Json::string("hush")), "Json(6 bytes)");
    }

    #[test]
    fn half_a_surrogate_is_no_text() {
        assert_eq!(Json::parse(br#""\ud800""#).unwrap().text(), None);
        assert_eq!(
            Json::parse(br#""\ud83d\ude00""#).unwrap().text().as_deref(),
            Some("\u{1f600}")
        );
    }
}
