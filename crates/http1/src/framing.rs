//! Where a body ends (RFC 9112, section 6.3). What two parties could read in two ways is refused, not
//! mended: that is what request smuggling lives on.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    Length(u64),
    Chunked,
    /// By the end of the connection; answers only.
    UntilClose,
}

/// Framing that is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ambiguous {
    #[error("content-length and transfer-encoding together")]
    Both,
    #[error("a content-length that is no number, or several")]
    Length,
    #[error("a transfer-encoding other than chunked")]
    Encoding,
}

impl Framing {
    /// Of a request's body. `is_1_0`: chunks came with version 1.1.
    pub(crate) fn of_request(headers: &HeaderMap, is_1_0: bool) -> Result<Self, Ambiguous> {
        match declared(headers)? {
            Some(Self::Chunked) if is_1_0 => Err(Ambiguous::Encoding),
            Some(framing) => Ok(framing),
            None => Ok(Self::Empty),
        }
    }

    /// Of an answer to a request with `method`.
    pub(crate) fn of_answer(
        headers: &HeaderMap,
        status: StatusCode,
        method: &Method,
        is_1_0: bool,
    ) -> Result<Self, Ambiguous> {
        if method == Method::HEAD || !may_have_body(status) {
            return Ok(Self::Empty);
        }
        match declared(headers)? {
            Some(Self::Chunked) if is_1_0 => Err(Ambiguous::Encoding),
            Some(framing) => Ok(framing),
            None => Ok(Self::UntilClose),
        }
    }
}

/// Whether an answer with this status can have a body at all.
pub(crate) fn may_have_body(status: StatusCode) -> bool {
    !status.is_informational()
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED
}

fn declared(headers: &HeaderMap) -> Result<Option<Framing>, Ambiguous> {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(encoding) = encodings.next() else {
        let Some(first) = lengths.next() else {
            return Ok(None);
        };
        if lengths.any(|other| other != first) {
            return Err(Ambiguous::Length);
        }
        let length = number(first.as_bytes()).ok_or(Ambiguous::Length)?;
        return Ok(Some(match length {
            0 => Framing::Empty,
            _ => Framing::Length(length),
        }));
    };
    if lengths.next().is_some() {
        return Err(Ambiguous::Both);
    }
    let is_chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !is_chunked || encodings.next().is_some() {
        return Err(Ambiguous::Encoding);
    }
    Ok(Some(Framing::Chunked))
}

/// Digits only: `+1` and `0x1` are numbers to some and not to others.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn the_end_of_a_request_is_told_in_one_way() {
        let of = |pairs: &[_]| Framing::of_request(&headers(pairs), false);
        assert_eq!(of(&[]), Ok(Framing::Empty));
        assert_eq!(of(&[("content-length", "0")]), Ok(Framing::Empty));
        assert_eq!(of(&[("content-length", "17")]), Ok(Framing::Length(17)));
        let chunked = ("transfer-encoding", "Chunked");
        assert_eq!(of(&[chunked]), Ok(Framing::Chunked));
        let same = [("content-length", "3"), ("content-length", "3")];
        assert_eq!(of(&same), Ok(Framing::Length(3)));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let of = |pairs: &[_]| Framing::of_request(&headers(pairs), false);
        for length in ["", "+3", "-1", "0x3", "3, 3", "3 3", "18446744073709551616"] {
            let refused = of(&[("content-length", length)]);
            assert_eq!(refused, Err(Ambiguous::Length), "{length:?}");
        }
        let two = [("content-length", "3"), ("content-length", "4")];
        assert_eq!(of(&two), Err(Ambiguous::Length));
        for encoding in [
            "gzip, chunked",
            "chunked, chunked",
            "identity",
            "xchunked",
            "",
        ] {
            let refused = of(&[("transfer-encoding", encoding)]);
            assert_eq!(refused, Err(Ambiguous::Encoding), "{encoding:?}");
        }
        let both = [("transfer-encoding", "chunked"), ("content-length", "3")];
        assert_eq!(of(&both), Err(Ambiguous::Both));
        let twice = [
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ];
        assert_eq!(of(&twice), Err(Ambiguous::Encoding));
        let old = Framing::of_request(&headers(&[("transfer-encoding", "chunked")]), true);
        assert_eq!(old, Err(Ambiguous::Encoding));
    }

    #[test]
    fn an_answer_may_also_end_with_its_connection() {
        let of = |pairs: &[_], status, method| {
            Framing::of_answer(&headers(pairs), status, &method, false)
        };
        let length = [("content-length", "3")];
        assert_eq!(
            of(&[], StatusCode::OK, Method::GET),
            Ok(Framing::UntilClose)
        );
        assert_eq!(
            of(&length, StatusCode::OK, Method::GET),
            Ok(Framing::Length(3))
        );
        assert_eq!(
            of(&length, StatusCode::OK, Method::HEAD),
            Ok(Framing::Empty)
        );
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            assert_eq!(of(&length, status, Method::GET), Ok(Framing::Empty));
        }
    }
}
