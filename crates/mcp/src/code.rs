//! JSON-RPC error codes of MCP and the HTTP status that each travels with.
//!
//! Which code a refusal gets is decided where the refusal is made ([`crate::headers`],
//! [`crate::ScanError`]); this file only names them.

use http::StatusCode;

use crate::era::Era;

/// A JSON-RPC error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub i32);

impl ErrorCode {
    /// The body is not JSON.
    pub const PARSE_ERROR: Self = Self(-32700);
    /// The body is JSON but not a JSON-RPC message.
    pub const INVALID_REQUEST: Self = Self(-32600);
    /// Unknown method.
    pub const METHOD_NOT_FOUND: Self = Self(-32601);
    /// Wrong or missing parameters; in the modern era also an unknown tool or resource.
    pub const INVALID_PARAMS: Self = Self(-32602);
    /// Something failed on our side or the upstream is away.
    pub const INTERNAL_ERROR: Self = Self(-32603);
    /// Resource not found. Session era only; modern clients get [`Self::INVALID_PARAMS`].
    pub const RESOURCE_NOT_FOUND: Self = Self(-32002);
    /// URL elicitation required (2025-11-25). Never sent to modern clients.
    pub const URL_ELICITATION_REQUIRED: Self = Self(-32042);
    /// MCP headers are missing, doubled, malformed or differ from the body (2026-07-28).
    pub const HEADER_MISMATCH: Self = Self(-32020);
    /// The request needs a client capability that was not declared (2026-07-28).
    pub const MISSING_CLIENT_CAPABILITY: Self = Self(-32021);
    /// The protocol version is not served (2026-07-28).
    pub const UNSUPPORTED_VERSION: Self = Self(-32022);

    /// True for the codes that only a modern-era server sends: whoever probes an upstream with
    /// `server/discover` and gets one of these knows its era.
    #[must_use]
    pub const fn proves_modern(self) -> bool {
        matches!(self.0, -32022..=-32020)
    }

    /// HTTP status of an error response to a client of `era`, for errors found before a stream was
    /// opened. `-32602` is a 200 unless `_meta` itself was wrong, which only the checker of headers
    /// knows: it answers 400 by itself ([`crate::Refusal::status`]).
    #[must_use]
    pub const fn http_status(self, era: Era) -> StatusCode {
        match (era, self.0) {
            (_, -32700 | -32600 | -32022..=-32020) => StatusCode::BAD_REQUEST,
            (Era::Modern, -32601) => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        }
    }

    /// The code to show to a client of `era`: modern clients never see the codes that their
    /// revision dropped.
    #[must_use]
    pub const fn for_era(self, era: Era) -> Self {
        match (era, self.0) {
            (Era::Modern, -32002) => Self::INVALID_PARAMS,
            (Era::Modern, -32042) => Self::INTERNAL_ERROR,
            _ => self,
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modern_clients_get_statuses_and_never_the_dropped_codes() {
        use ErrorCode as C;
        assert_eq!(C::HEADER_MISMATCH.http_status(Era::Modern), 400);
        assert_eq!(C::UNSUPPORTED_VERSION.http_status(Era::Modern), 400);
        assert_eq!(C::METHOD_NOT_FOUND.http_status(Era::Modern), 404);
        assert_eq!(C::METHOD_NOT_FOUND.http_status(Era::Session), 200);
        assert_eq!(C::INVALID_PARAMS.http_status(Era::Modern), 200);
        assert_eq!(
            C::RESOURCE_NOT_FOUND.for_era(Era::Modern),
            C::INVALID_PARAMS
        );
        assert_eq!(
            C::RESOURCE_NOT_FOUND.for_era(Era::Session),
            C::RESOURCE_NOT_FOUND
        );
        assert_ne!(C::URL_ELICITATION_REQUIRED.for_era(Era::Modern).0, -32042);
        assert!(C::HEADER_MISMATCH.proves_modern());
        assert!(!C::METHOD_NOT_FOUND.proves_modern());
    }
}
