//! One scan over a JSON-RPC message: is it well formed, what is it, where are the parts we act on.
//!
//! Nothing is parsed into types, and nothing is allocated but the table of spans that says what was found;
//! [`Splice`](crate::Splice) turns it into a changed message. `lex` checks JSON, `field` is the
//! table of what is recorded, `scan` walks and classifies.

mod error;
mod field;
pub(crate) mod lex;
mod scan;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use error::ScanError;
pub use field::Field;
pub use scan::batch_elements;

use crate::id::Id;
use crate::json::Json;

/// What a message may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message in bytes; never above 4 GiB. Default 16 MiB.
    pub max_bytes: usize,
    /// Deepest nesting of objects and arrays; never above 127, where `serde_json` ends too, so that
    /// whatever passes here can be parsed by whoever gets it. Default 127.
    pub max_depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 16 << 20,
            max_depth: 127,
        }
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Method and id: wants an answer.
    Request,
    /// Method without id.
    Notification,
    /// Id and result.
    Response,
    /// Error; the id is missing (or `null`) when the peer could not read ours.
    ErrorResponse,
}

/// The `resultType` of a result (2026-07-28).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResultType {
    /// Done. Also what a missing `resultType` means.
    Complete,
    /// The server needs answers first: repeat the request with them.
    InputRequired,
    /// A task stands for the result.
    Task,
    /// One we don't know: pass it on.
    Other,
}

/// Where a value stands, and where its key starts. All zero: it is not there (no member of an
/// object starts at byte 0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    key: u32,
    start: u32,
    end: u32,
}

/// Where every field of a message stands.
#[derive(Clone, Debug)]
pub(crate) struct Places([Place; Field::COUNT]);

impl Places {
    /// Where the value of a field stands.
    pub(crate) fn span(&self, field: Field) -> Option<Range<usize>> {
        let place = self.0[field as usize];
        (place != Place::default()).then_some(place.start as usize..place.end as usize)
    }

    /// Where the key of a field starts.
    pub(crate) fn key_start(&self, field: Field) -> usize {
        self.0[field as usize].key as usize
    }

    /// `scan` made sure that offsets fit.
    fn set(&mut self, field: Field, key: usize, value: Range<usize>) {
        self.0[field as usize] = Place {
            key: key as u32,
            start: value.start as u32,
            end: value.end as u32,
        };
    }
}

/// A checked message: its bytes and the places in it that matter.
///
/// `B` is whatever holds the bytes: `&[u8]` to look, `Bytes` to keep.
///
/// ```
/// use agentopia_mcp::{Envelope, Field, Kind, Limits};
/// let note = br#"{"jsonrpc":"2.0","method":"notifications\/progress",
///   "params":{"progressToken":"t1","progress":5e-1}}"#;
/// let note = Envelope::scan(&note[..], &Limits::default()).unwrap();
/// assert_eq!(note.kind(), Kind::Notification);
/// assert_eq!(note.method(), "notifications/progress");
/// assert_eq!(note.raw(Field::ParamsProgressToken).unwrap().as_bytes(), br#""t1""#);
/// assert!(!note.has(Field::ParamsMeta));
/// ```
#[derive(Clone)]
pub struct Envelope<B = bytes::Bytes> {
    bytes: B,
    kind: Kind,
    /// Shared: the table is as long as a short message, and envelopes are handed on by value.
    places: Arc<Places>,
}

impl<B: AsRef<[u8]>> Envelope<B> {
    /// Checks `bytes` as one JSON-RPC message. Unknown members are checked for form only.
    ///
    /// `null` for `params` or `_meta` counts as absent. An array is refused as [`ScanError::Batch`].
    ///
    /// # Errors
    /// Every way in which it is not acceptable; see [`ScanError::code`] for the answer to send.
    pub fn scan(bytes: B, limits: &Limits) -> Result<Self, ScanError> {
        let (kind, places) = scan::scan(bytes.as_ref(), limits)?;
        Ok(Self {
            bytes,
            kind,
            places: Arc::new(places),
        })
    }

    /// The whole text, as it came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// The holder of the text.
    #[must_use]
    pub fn into_inner(self) -> B {
        self.bytes
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// True for requests and notifications.
    #[must_use]
    pub fn is_call(&self) -> bool {
        matches!(self.kind, Kind::Request | Kind::Notification)
    }

    /// The id, verbatim. `None` for notifications and for errors without one.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        self.slice(Field::Id).and_then(Id::from_raw)
    }

    /// The method, decoded (some encoders write `tools\/call`); empty for responses.
    #[must_use]
    pub fn method(&self) -> Cow<'_, str> {
        self.text(Field::Method).unwrap_or_default()
    }

    /// Where the value of a field stands in [`Self::bytes`].
    #[must_use]
    pub fn span(&self, field: Field) -> Option<Range<usize>> {
        self.places.span(field)
    }

    /// Whether a field is there, whatever its value.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        self.span(field).is_some()
    }

    /// The value of a field.
    #[must_use]
    pub fn raw(&self, field: Field) -> Option<Json<'_>> {
        self.slice(field).map(Json::trusted)
    }

    /// The text of a field if it is a string, decoded.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        self.slice(field).and_then(crate::json::decode_string)
    }

    /// The number of a field if it is an unsigned integer.
    #[must_use]
    pub fn number(&self, field: Field) -> Option<u64> {
        self.slice(field)
            .and_then(|raw| std::str::from_utf8(raw).ok()?.parse().ok())
    }

    /// The code of an error response.
    #[must_use]
    pub fn error_code(&self) -> Option<crate::ErrorCode> {
        let raw = std::str::from_utf8(self.slice(Field::ErrorCode)?).ok()?;
        raw.parse().ok().map(crate::ErrorCode)
    }

    /// The id or token in a field, for `requestId`, `progressToken`, `subscriptionId`.
    #[must_use]
    pub fn id_in(&self, field: Field) -> Option<Id> {
        self.slice(field).and_then(Id::from_raw)
    }

    /// What kind of result a response carries.
    #[must_use]
    pub fn result_type(&self) -> ResultType {
        match self.text(Field::ResultType).as_deref() {
            None | Some("complete") => ResultType::Complete,
            Some("input_required") => ResultType::InputRequired,
            Some("task") => ResultType::Task,
            Some(_) => ResultType::Other,
        }
    }

    fn slice(&self, field: Field) -> Option<&[u8]> {
        self.span(field).and_then(|span| self.bytes().get(span))
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Envelope<B> {
    /// Kind, method and length: bodies don't belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("kind", &self.kind)
            .field("method", &self.method())
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}
