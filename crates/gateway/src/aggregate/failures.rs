//! Servers that failed, as clients are told of them: beside what the others listed ([`super::list`]), and
//! with a call of what might be theirs ([`super::missing`]).

use agentopia_mcp::{Envelope, Field, Json, Limits, Splice};
use bytes::Bytes;

use super::list::Part;

/// Where they are reported, in a result's `_meta` and in an error's data.
pub(super) const FAILURES: &str = "io.agentopia/failures";

/// Who failed and why, as it is told to clients.
pub(super) fn failures<'a>(parts: impl IntoIterator<Item = &'a Part>) -> Vec<serde_json::Value> {
    let failed = parts.into_iter().filter_map(|part| {
        let error = part.outcome.as_ref().err()?;
        Some(serde_json::json!({
            "instance": part.route.id.to_string(),
            "name": part.route.name,
            "reason": error.to_string(),
        }))
    });
    failed.collect()
}

/// A list or a result of [`crate::search`], with those that failed in its `_meta`.
pub(crate) fn with_failures(message: Vec<u8>, parts: &[Part]) -> Bytes {
    let failures = failures(parts);
    if failures.is_empty() {
        return message.into();
    }
    let limits = Limits {
        max_bytes: u32::MAX as usize,
        ..Limits::default()
    };
    let (Ok(failures), Ok(list)) = (Json::of(&failures), Envelope::scan(&message[..], &limits))
    else {
        return message.into();
    };
    Splice::new(&list)
        .set_member(Field::ResultMeta, FAILURES, failures)
        .finish()
        .into()
}
