//! Lists come in pages; a cursor says where the next one begins.

use serde::{Deserialize, Serialize};

/// The most items that one page holds.
pub const MAX_LIMIT: u32 = 200;

/// Which part of a list is asked for. Items are ordered by id, that is by the time they were
/// made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Only items after this id.
    pub after: Option<uuid::Uuid>,
    /// At most this many; 1 to [`MAX_LIMIT`].
    pub limit: u32,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            after: None,
            limit: 50,
        }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in the order of their ids.
    pub items: Vec<T>,
    /// The id to ask for more with; `None` at the end.
    pub next: Option<uuid::Uuid>,
}

impl<T> Page<T> {
    /// Turns every item into something else.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            next: self.next,
        }
    }
}
