//! Between domain types and the few types that both engines keep alike: 64-bit integers, text,
//! bytes, booleans and UUIDs.
//!
//! Times are microseconds since 1970 UTC. Structures are JSON in text columns: they come back byte
//! for byte on both engines, with the order of their keys (PostgreSQL's `jsonb` would lose it).

use std::num::NonZeroU32;

use agentopia_domain::name::Name;
use agentopia_domain::page::{MAX_LIMIT, Page, PageRequest};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::error::StoreError;

pub(crate) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

pub(crate) fn time(column: &'static str, micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| corrupt(column, "no time"))
}

pub(crate) fn time_opt(
    column: &'static str,
    micros: Option<i64>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    micros.map(|micros| time(column, micros)).transpose()
}

/// The length of a duration in microseconds.
pub(crate) fn span(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// The word for a value of an enum without fields, as `serde` writes it.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => unreachable!("only enums without fields are stored as words"),
    }
}

pub(crate) fn from_word<T: DeserializeOwned>(
    column: &'static str,
    word: &str,
) -> Result<T, StoreError> {
    serde_json::from_value(Value::String(word.to_owned()))
        .map_err(|_| corrupt(column, "unknown word"))
}

pub(crate) fn json<T: Serialize>(column: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt(column, error))
}

pub(crate) fn from_json<T: DeserializeOwned>(
    column: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    // serde_json's message may quote a part of the value; where it stands is enough.
    serde_json::from_str(text).map_err(|error| {
        let (line, at) = (error.line(), error.column());
        corrupt(
            column,
            format!("unexpected JSON at line {line}, column {at}"),
        )
    })
}

pub(crate) fn name(column: &'static str, text: String) -> Result<Name, StoreError> {
    Name::parse(text).map_err(|error| corrupt(column, error))
}

/// A number that something may not exceed.
pub(crate) fn limit(
    column: &'static str,
    value: Option<i64>,
) -> Result<Option<NonZeroU32>, StoreError> {
    value
        .map(|value| {
            let whole = u32::try_from(value).ok().and_then(NonZeroU32::new);
            whole.ok_or_else(|| corrupt(column, "no limit"))
        })
        .transpose()
}

pub(crate) fn limit_row(value: Option<NonZeroU32>) -> Option<i64> {
    value.map(|value| i64::from(value.get()))
}

pub(crate) fn corrupt(column: &'static str, problem: impl ToString) -> StoreError {
    StoreError::Corrupt {
        column,
        problem: problem.to_string(),
    }
}

/// Unsigned to signed; what does not fit (beyond 9 exabytes) is cut off.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// How many rows to fetch for a page: one more than it holds, to see whether there is a next.
pub(crate) fn fetch_limit(page: PageRequest) -> u64 {
    u64::from(page.limit.clamp(1, MAX_LIMIT)) + 1
}

/// Cuts what [`fetch_limit`] fetched into a page.
pub(crate) fn paged<M, T>(
    rows: Vec<M>,
    page: PageRequest,
    id: impl Fn(&M) -> Uuid,
    convert: impl Fn(M) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let limit = page.limit.clamp(1, MAX_LIMIT) as usize;
    let next = (rows.len() > limit).then(|| id(&rows[limit - 1]));
    let items = rows.into_iter().take(limit).map(convert);
    Ok(Page {
        items: items.collect::<Result<_, _>>()?,
        next,
    })
}
