//! Why a body is not acceptable as an MCP message.

use crate::code::ErrorCode;

/// Why a scan refused; the text can be shown to the sender, it repeats none of the body but known
/// keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Larger than [`crate::Limits::max_bytes`].
    #[error("the message is larger than {limit} bytes; send less")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("the message is not UTF-8 from byte {at} on")]
    NotUtf8 {
        /// First bad byte.
        at: usize,
    },
    /// Not JSON.
    #[error("the message is not JSON: {what} at byte {at}")]
    Syntax {
        /// Where.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// Nested deeper than [`crate::Limits::max_depth`].
    #[error("the message is nested deeper than {limit} levels")]
    TooDeep {
        /// Levels.
        limit: u32,
    },
    /// A JSON array: a batch, which only 2025-03-26 has. [`crate::batch_elements`] takes it apart.
    #[error("batches of messages are not served here; send one message at a time")]
    Batch,
    /// Neither an object nor an array.
    #[error("the message is not a JSON object")]
    NotObject,
    /// A key that we act on is there twice.
    #[error("the message has the key `{key}` twice in one object")]
    Duplicate {
        /// The key.
        key: &'static str,
    },
    /// A key that differs from one we act on in case alone.
    #[error("the message has a key that differs from `{key}` in case alone")]
    LookAlike {
        /// The key it looks like.
        key: &'static str,
    },
    /// `jsonrpc` is not "2.0".
    #[error("`jsonrpc` must be \"2.0\"")]
    NotJsonRpc,
    /// The id is no string or number.
    #[error("`id` must be a string or a number")]
    BadId,
    /// The method is no string.
    #[error("`method` must be a string")]
    BadMethod,
    /// `params` or `error` is no object.
    #[error("`{key}` must be an object")]
    NotAnObject {
        /// `params`, `_meta` or `error`.
        key: &'static str,
    },
    /// A text that we route on has half a surrogate pair.
    #[error("`{key}` holds an incomplete surrogate pair")]
    BadText {
        /// The key.
        key: &'static str,
    },
    /// Not exactly one of method, result and error.
    #[error("a message has exactly one of `method`, `result` and `error`")]
    WrongShape,
}

impl ScanError {
    /// The JSON-RPC code to answer with.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotUtf8 { .. } | Self::Syntax { .. } | Self::TooDeep { .. } => {
                ErrorCode::PARSE_ERROR
            }
            Self::NotAnObject { .. } | Self::BadText { .. } => ErrorCode::INVALID_PARAMS,
            _ => ErrorCode::INVALID_REQUEST,
        }
    }

    /// The HTTP status to answer with: 413 for size, else 400.
    #[must_use]
    pub const fn status(&self) -> http::StatusCode {
        match self {
            Self::TooLarge { .. } => http::StatusCode::PAYLOAD_TOO_LARGE,
            _ => http::StatusCode::BAD_REQUEST,
        }
    }
}
