//! Opaque cursors. A cursor names its list, so that one of another list is refused instead of
//! giving a wrong page.

use agentopia_domain::page::{MAX_LIMIT, PageRequest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt::Display;
use std::str::FromStr;
use uuid::Uuid;

use crate::problem::{Answer, Refusal, kind};

/// How many items a page has unless the caller says.
const DEFAULT_LIMIT: u32 = 50;

/// The cursor of `list` that points behind `position`.
#[must_use]
pub fn encode(list: &str, position: impl Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}:{position}"))
}

/// The position in a cursor of `list`.
///
/// # Errors
/// A refusal that says how to start over.
pub fn decode<T: FromStr>(list: &str, cursor: Option<&str>) -> Answer<Option<T>> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix(list)?.strip_prefix(':')?.parse().ok())
        .map(Some)
        .ok_or_else(|| {
            Refusal::new(
                kind::INVALID_CURSOR,
                "use `next_cursor` of this list as it was given, or start without a cursor",
            )
        })
}

/// The limit that the caller asked for.
///
/// # Errors
/// A refusal where it is out of range.
pub fn limit(asked: Option<u32>) -> Answer<u32> {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        Ok(limit)
    } else {
        Err(Refusal::new(
            kind::INVALID_QUERY,
            format!("`limit` must be 1 to {MAX_LIMIT}"),
        ))
    }
}

/// A page of a list that is ordered by id.
///
/// # Errors
/// Where cursor or limit are wrong.
pub fn page_request(list: &str, cursor: Option<&str>, asked: Option<u32>) -> Answer<PageRequest> {
    Ok(PageRequest {
        after: decode::<Uuid>(list, cursor)?,
        limit: limit(asked)?,
    })
}

/// A page as the wire has it.
pub fn page<T, U>(
    list: &str,
    page: agentopia_domain::page::Page<T>,
    convert: impl FnMut(T) -> U,
) -> agentopia_api::Page<U> {
    agentopia_api::Page {
        next_cursor: page.next.map(|next| encode(list, next)),
        items: page.items.into_iter().map(convert).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let cursor = encode("agents", Uuid::nil());
        assert_eq!(
            decode::<Uuid>("agents", Some(&cursor)).unwrap(),
            Some(Uuid::nil())
        );
        assert_eq!(decode::<Uuid>("agents", None).unwrap(), None);
        for (list, cursor) in [
            ("agent", cursor.as_str()),
            ("secrets", &cursor),
            ("agents", "%%%"),
            ("agents", ""),
            ("agents", &encode("agents", "x")),
        ] {
            assert!(
                decode::<Uuid>(list, Some(cursor)).is_err(),
                "{list} {cursor}"
            );
        }
    }

    #[test]
    fn limits_have_bounds() {
        assert_eq!(limit(None).unwrap(), 50);
        assert_eq!(limit(Some(200)).unwrap(), 200);
        assert!(limit(Some(0)).is_err() && limit(Some(201)).is_err());
    }
}
