//! The id of a JSON-RPC request, kept as the text it came in.
//!
//! Numbers are not parsed: `1`, `1.0` and `9007199254740993` go back exactly as the peer wrote
//! them. Progress tokens have the same shape and use the same type.

use std::fmt;

use smallvec::SmallVec;

use crate::json::{Json, decode_string, encode_string};

/// A request id or progress token: a JSON number or string, verbatim.
///
/// Equality is that of the text, so ids are compared only with ids from the same peer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(SmallVec<[u8; 24]>);

impl Id {
    /// Takes the raw text of a JSON number or string; anything else (`null`, objects) is `None`.
    /// The text must be well-formed JSON, as it is when it comes from a scan.
    #[must_use]
    pub fn from_raw(raw: &[u8]) -> Option<Self> {
        match raw.first()? {
            b'"' | b'-' | b'0'..=b'9' => Some(Self(SmallVec::from_slice(raw))),
            _ => None,
        }
    }

    /// The text as it stands in the message, with quotes if it is a string.
    #[must_use]
    pub fn as_raw(&self) -> &[u8] {
        &self.0
    }

    /// The value if it is a plain unsigned integer: what the gateway gives out on its own hops.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        std::str::from_utf8(&self.0).ok()?.parse().ok()
    }

    /// The decoded text if it is a string.
    #[must_use]
    pub fn as_text(&self) -> Option<std::borrow::Cow<'_, str>> {
        decode_string(&self.0)
    }
}

impl From<u64> for Id {
    fn from(n: u64) -> Self {
        Self(SmallVec::from_slice(n.to_string().as_bytes()))
    }
}

impl From<&str> for Id {
    /// A string id.
    fn from(text: &str) -> Self {
        Self(SmallVec::from_vec(encode_string(text)))
    }
}

impl<'a> From<&'a Id> for Json<'a> {
    fn from(id: &'a Id) -> Self {
        Json::trusted(id.as_raw())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_and_null_is_no_id() {
        assert_eq!(Id::from_raw(b"1.0").unwrap().as_raw(), b"1.0");
        assert_ne!(Id::from_raw(b"1.0"), Id::from_raw(b"1"));
        assert_eq!(Id::from_raw(b"null"), None);
        assert_eq!(Id::from_raw(b""), None);
        assert_eq!(Id::from_raw(b"{}"), None);
        assert_eq!(
            Id::from(18_446_744_073_709_551_615).as_u64(),
            Some(u64::MAX)
        );
        assert_eq!(Id::from("a\"b").as_raw(), br#""a\"b""#);
        assert_eq!(Id::from("a\"b").as_text().as_deref(), Some("a\"b"));
        assert_eq!(Id::from("7").as_u64(), None, "a string is not the number");
    }
}
