//! The heads of requests and answers.

use std::mem::MaybeUninit;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version};

use crate::framing::Ambiguous;

/// The longest head that is read, bytes. A larger one is answered with 431.
pub(crate) const LONGEST: usize = 64 << 10;
/// So many headers may be in it.
const MOST_HEADERS: usize = 100;

/// A head that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHead {
    #[error("no HTTP/1.1: {0}")]
    Syntax(httparse::Error),
    #[error("the head is longer than {LONGEST} bytes")]
    TooLong,
    #[error("an address that is none")]
    Address,
    #[error("{0}")]
    Ambiguous(#[from] Ambiguous),
}

impl BadHead {
    /// What to answer to it.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLong | Self::Syntax(httparse::Error::TooManyHeaders) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<httparse::Error> for BadHead {
    fn from(error: httparse::Error) -> Self {
        Self::Syntax(error)
    }
}

/// What a request begins with.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

/// What an answer begins with.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

/// Takes a request's head out of `buffer`, of which `looked_at` bytes were in vain; `None` until it is
/// complete.
pub(crate) fn take_request(
    buffer: &mut BytesMut,
    looked_at: usize,
) -> Result<Option<RequestHead>, BadHead> {
    if !may_be_complete(buffer, looked_at)? {
        return Ok(None);
    }
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let httparse::Status::Complete(length) =
        parsed.parse_with_uninit_headers(buffer, &mut headers)?
    else {
        return Ok(None);
    };
    let method = parsed.method.unwrap_or_default().as_bytes();
    let method = Method::from_bytes(method).map_err(|_| httparse::Error::Token)?;
    let path = Span::of(buffer, parsed.path.unwrap_or_default().as_bytes());
    let version = version(parsed.version);
    let spans = Spans::of(buffer, parsed.headers);
    let head = buffer.split_to(length).freeze();
    let uri = Uri::from_maybe_shared(path.of_head(&head)).map_err(|_| BadHead::Address)?;
    Ok(Some(RequestHead {
        method,
        uri,
        version,
        headers: spans.into_map(&head)?,
    }))
}

/// The same for an answer.
pub(crate) fn take_answer(
    buffer: &mut BytesMut,
    looked_at: usize,
) -> Result<Option<AnswerHead>, BadHead> {
    if !may_be_complete(buffer, looked_at)? {
        return Ok(None);
    }
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let httparse::Status::Complete(length) =
        config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut headers)?
    else {
        return Ok(None);
    };
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default());
    let status = status.map_err(|_| httparse::Error::Status)?;
    let version = version(parsed.version);
    let spans = Spans::of(buffer, parsed.headers);
    let head = buffer.split_to(length).freeze();
    Ok(Some(AnswerHead {
        status,
        version,
        headers: spans.into_map(&head)?,
    }))
}

/// Whether the empty line that ends a head can be in there: a head that trickles in is parsed once, not
/// with every byte.
fn may_be_complete(buffer: &[u8], looked_at: usize) -> Result<bool, BadHead> {
    let is_complete = looked_at == 0
        || memchr::memchr_iter(b'\n', &buffer[looked_at.saturating_sub(3)..]).any(|at| {
            let rest = &buffer[looked_at.saturating_sub(3) + at + 1..];
            rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
        });
    if !is_complete && buffer.len() > LONGEST {
        return Err(BadHead::TooLong);
    }
    Ok(is_complete)
}

fn version(minor: Option<u8>) -> Version {
    match minor {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    }
}

/// A part of the head, so that it can be shared instead of copied.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn of(buffer: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize);
        Self {
            start,
            end: start + part.len(),
        }
    }

    fn of_head(self, head: &Bytes) -> Bytes {
        head.slice(self.start..self.end)
    }
}

/// Where names and values stand.
struct Spans {
    all: smallvec::SmallVec<[(Span, Span); 24]>,
}

impl Spans {
    fn of(buffer: &[u8], headers: &[httparse::Header<'_>]) -> Self {
        let span = |part| Span::of(buffer, part);
        let all = headers
            .iter()
            .map(|header| (span(header.name.as_bytes()), span(header.value)))
            .collect();
        Self { all }
    }

    fn into_map(self, head: &Bytes) -> Result<HeaderMap, BadHead> {
        let mut map = HeaderMap::with_capacity(self.all.len());
        for (name, value) in self.all {
            let name = HeaderName::from_bytes(&head[name.start..name.end]);
            let name = name.map_err(|_| httparse::Error::HeaderName)?;
            let value = HeaderValue::from_maybe_shared(value.of_head(head));
            map.append(name, value.map_err(|_| httparse::Error::HeaderValue)?);
        }
        Ok(map)
    }
}

/// Whether the other side wants to use the connection again.
pub(crate) fn keeps_alive(version: Version, headers: &HeaderMap) -> bool {
    let says = |word: &str| {
        let values = headers.get_all(CONNECTION).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|option| option.trim().eq_ignore_ascii_case(word))
    };
    match version {
        Version::HTTP_10 => says("keep-alive"),
        _ => !says("close"),
    }
}

/// Writes the first line of a request.
pub(crate) fn write_request_line(to: &mut BytesMut, method: &Method, uri: &Uri) {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    to.reserve(256);
    to.put_slice(method.as_str().as_bytes());
    to.put_slice(b" ");
    to.put_slice(path.as_bytes());
    to.put_slice(b" HTTP/1.1\r\n");
}

/// Writes the first line of an answer.
pub(crate) fn write_status_line(to: &mut BytesMut, status: StatusCode) {
    to.reserve(256);
    if status == StatusCode::OK {
        return to.put_slice(b"HTTP/1.1 200 OK\r\n");
    }
    to.put_slice(b"HTTP/1.1 ");
    to.put_slice(status.as_str().as_bytes());
    to.put_slice(b" ");
    let reason = status.canonical_reason().unwrap_or_default();
    to.put_slice(reason.as_bytes());
    to.put_slice(b"\r\n");
}

/// Writes one header.
pub(crate) fn write_header(to: &mut BytesMut, name: &str, value: &[u8]) {
    to.put_slice(name.as_bytes());
    to.put_slice(b": ");
    to.put_slice(value);
    to.put_slice(b"\r\n");
}

/// Writes one header that is a number.
pub(crate) fn write_number(to: &mut BytesMut, name: &str, value: u64) {
    write_header(to, name, itoa::Buffer::new().format(value).as_bytes());
}

/// Writes all headers but `without`, which are about this hop and are decided here.
pub(crate) fn write_headers(to: &mut BytesMut, headers: &HeaderMap, without: &[HeaderName]) {
    for (name, value) in headers {
        if !without.contains(name) {
            write_header(to, name.as_str(), value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<Option<RequestHead>, BadHead> {
        take_request(&mut BytesMut::from(text), 0)
    }

    #[test]
    fn a_head_is_taken_and_the_rest_is_left() {
        let text = "POST /mcp?a=1 HTTP/1.1\r\nHost: a\r\nX-Odd: 1\r\nx-odd: 2\r\n\r\nbody";
        let mut buffer = BytesMut::from(text);
        let head = take_request(&mut buffer, 0).unwrap().unwrap();
        assert_eq!(
            (head.method, head.version),
            (Method::POST, Version::HTTP_11)
        );
        assert_eq!(head.uri, "/mcp?a=1");
        assert_eq!(head.headers["host"], "a");
        let odd: Vec<_> = head.headers.get_all("x-odd").iter().collect();
        assert_eq!(odd, ["1", "2"]);
        assert_eq!(&buffer[..], b"body");
    }

    #[test]
    fn a_head_that_trickles_in_is_complete_with_its_last_byte() {
        let text = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut buffer = BytesMut::new();
        for (at, byte) in text.bytes().enumerate() {
            let looked_at = buffer.len();
            buffer.put_u8(byte);
            let head = take_request(&mut buffer, looked_at).unwrap();
            assert_eq!(head.is_some(), at + 1 == text.len(), "{at}");
        }
        let answer = take_answer(&mut BytesMut::from("HTTP/1.1 404 \r\n\r\n"), 0);
        assert_eq!(answer.unwrap().unwrap().status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn bad_heads_are_refused() {
        for bad in [
            "GET / HTTP/2.0\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\n\r\n",
            "G\x7fT / HTTP/1.1\r\n\r\n",
        ] {
            assert!(request(bad).is_err(), "{bad:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
        let refused = request(&many).unwrap_err().status();
        assert_eq!(refused, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        let mut long = BytesMut::from(&*format!("GET /{}", "x".repeat(LONGEST)));
        assert_eq!(take_request(&mut long, 1).unwrap_err(), BadHead::TooLong);
    }

    #[test]
    fn connections_are_kept_as_the_version_says() {
        let says = |value: &'static str| {
            HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static(value))])
        };
        let none = HeaderMap::new();
        assert!(keeps_alive(Version::HTTP_11, &none));
        assert!(!keeps_alive(Version::HTTP_10, &none));
        assert!(!keeps_alive(Version::HTTP_11, &says("x, Close")));
        assert!(keeps_alive(Version::HTTP_10, &says("Keep-Alive")));
    }
}
