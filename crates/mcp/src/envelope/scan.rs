//! Walks the objects of a message that we look into, records the fields, says what the message is.

use std::ops::Range;

use super::lex::Lexer;
use super::{Field, Kind, Limits, Place, Places, ScanError};
use crate::json::decode_string;

/// Fields that are compared or looked up as text: a string here must be decodable.
const TEXTS: &[Field] = &[
    Field::ParamsName,
    Field::ParamsUri,
    Field::ParamsTaskId,
    Field::ParamsCursor,
    Field::ParamsRequestState,
    Field::RefName,
    Field::RefUri,
    Field::MetaProtocolVersion,
];

pub(super) fn scan(text: &[u8], limits: &Limits) -> Result<(Kind, Places), ScanError> {
    let mut lexer = Lexer::begin(text, limits)?;
    let start = lexer.at();
    let mut places = Places([Place::default(); Field::COUNT]);
    match lexer.peek() {
        Some(b'{') => walk(text, &mut lexer, Field::Message, &mut places)?,
        other => {
            lexer.skip_value()?;
            lexer.end()?;
            let batch = other == Some(b'[');
            return Err(if batch {
                ScanError::Batch
            } else {
                ScanError::NotObject
            });
        }
    }
    places.set(Field::Message, start, start..lexer.at());
    lexer.end()?;
    let kind = classify(text, &places)?;
    Ok((kind, places))
}

/// The spans of the messages in a batch (2025-03-26), each to be scanned by itself.
///
/// # Errors
/// As for a message; an empty batch and anything that is no array is [`ScanError::WrongShape`].
pub fn batch_elements(text: &[u8], limits: &Limits) -> Result<Vec<Range<usize>>, ScanError> {
    let span = Lexer::check(text, limits)?;
    let base = span.start;
    let spans: Vec<_> = crate::json::elements(&text[span])
        .map(|element| base + element.start..base + element.end)
        .collect();
    if spans.is_empty() {
        Err(ScanError::WrongShape)
    } else {
        Ok(spans)
    }
}

/// Goes over an object whose brace is next and records its fields.
fn walk(
    text: &[u8],
    lexer: &mut Lexer<'_>,
    object: Field,
    places: &mut Places,
) -> Result<(), ScanError> {
    lexer.deeper()?;
    let mut more = lexer.open(b'{', b'}');
    let empty = !more;
    while more {
        let key_at = lexer.at();
        let escaped = lexer.string()?;
        let raw_key = &text[key_at..lexer.at()];
        let field = known(object, raw_key, escaped)?;
        lexer.colon()?;
        let start = lexer.at();
        match field {
            Some(field) if places.span(field).is_some() => {
                return Err(ScanError::Duplicate { key: field.key() });
            }
            Some(field) if field.is_walked() && lexer.peek() == Some(b'{') => {
                walk(text, lexer, field, places)?;
            }
            _ => lexer.skip_value()?,
        }
        if let Some(field) = field {
            places.set(field, key_at, start..lexer.at());
        }
        more = lexer.comma();
    }
    if !empty && !lexer.close(b'}') {
        return Err(lexer.wrong("expected `,` or `}`"));
    }
    lexer.shallower();
    Ok(())
}

/// The field that a key names. Escapes are undone first: `"n\u0061me"` is `name` to every reader.
fn known(object: Field, raw_key: &[u8], escaped: bool) -> Result<Option<Field>, ScanError> {
    let plain = &raw_key[1..raw_key.len() - 1];
    if !escaped && let Some(field) = Field::of(object, plain) {
        return Ok(Some(field));
    }
    let Some(key) = decode_string(raw_key) else {
        return Ok(None);
    };
    if escaped && let Some(field) = Field::of(object, key.as_bytes()) {
        return Ok(Some(field));
    }
    match Field::look_alike(object, &key) {
        Some(field) => Err(ScanError::LookAlike { key: field.key() }),
        None => Ok(None),
    }
}

fn classify(text: &[u8], places: &Places) -> Result<Kind, ScanError> {
    let raw = |field: Field| places.span(field).map(|span| &text[span]);
    let object_or_null = |field: Field| match raw(field) {
        None | Some([b'{', ..] | b"null") => Ok(()),
        Some(_) => Err(ScanError::NotAnObject { key: field.key() }),
    };
    if raw(Field::Jsonrpc).and_then(decode_string).as_deref() != Some("2.0") {
        return Err(ScanError::NotJsonRpc);
    }
    let id = match raw(Field::Id) {
        None => None,
        Some([b'"' | b'-' | b'0'..=b'9', ..]) => Some(true),
        Some(b"null") => Some(false),
        Some(_) => return Err(ScanError::BadId),
    };
    let kind = match (raw(Field::Method), raw(Field::Result), raw(Field::Error)) {
        (Some(method), None, None) => {
            decode_string(method).ok_or(ScanError::BadMethod)?;
            object_or_null(Field::Params)?;
            object_or_null(Field::ParamsMeta)?;
            match id {
                Some(true) => Kind::Request,
                Some(false) => return Err(ScanError::BadId),
                None => Kind::Notification,
            }
        }
        (None, Some(_), None) if id == Some(true) => Kind::Response,
        (None, Some(_), None) => return Err(ScanError::BadId),
        (None, None, Some([b'{', ..])) => Kind::ErrorResponse,
        (None, None, Some(_)) => {
            return Err(ScanError::NotAnObject {
                key: Field::Error.key(),
            });
        }
        _ => return Err(ScanError::WrongShape),
    };
    for &field in TEXTS {
        if raw(field).is_some_and(|raw| raw[0] == b'"' && decode_string(raw).is_none()) {
            return Err(ScanError::BadText { key: field.key() });
        }
    }
    Ok(kind)
}
