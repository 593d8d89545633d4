//! HTTP/1.1 messages: requests with a length or in chunks, responses with a length or as events.

use std::io::{self, BufRead, Read as _, Write};
use std::net::TcpStream;

use serde_json::Value;

const LINE_MAX: u64 = 8 * 1024;
const HEADERS_MAX: usize = 100;
const BODY_MAX: usize = 4 << 20;

/// A request.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The client wants to end the connection after the response.
    pub(super) close: bool,
}

impl Request {
    /// All values of a header.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    #[cfg(test)]
    pub(super) fn with_headers(headers: &[(&str, &str)]) -> Self {
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        Self {
            headers,
            ..Self::default()
        }
    }
}

/// What came in.
#[derive(Debug)]
pub(super) enum Read {
    Request(Request),
    /// The connection ended between requests.
    Closed,
    /// Not a request that can be served; the connection cannot be used any more.
    Bad(&'static str),
}

const BAD: Read = Read::Bad("400 Bad Request");

/// Reads a request. `stream` is asked to say "100 Continue" where the client waits for it.
pub(super) fn read(reader: &mut impl BufRead, stream: impl Write) -> io::Result<Read> {
    let Some(first) = line(reader)? else {
        return Ok(Read::Closed);
    };
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Ok(BAD);
    };
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Ok(Read::Bad("505 HTTP Version Not Supported"));
    }
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut request = Request {
        method: method.to_owned(),
        path,
        ..Request::default()
    };
    loop {
        let Some(line) = line(reader)? else {
            return Ok(BAD);
        };
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else {
            return Ok(BAD);
        };
        if name.is_empty() || name.contains([' ', '\t']) || request.headers.len() == HEADERS_MAX {
            return Ok(BAD);
        }
        request
            .headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let connection = request
        .header("connection")
        .unwrap_or_default()
        .to_ascii_lowercase();
    request.close =
        connection.contains("close") || version == "HTTP/1.0" && !connection.contains("keep-alive");
    if let Err(bad) = body(reader, stream, &mut request)? {
        return Ok(Read::Bad(bad));
    }
    Ok(Read::Request(request))
}

/// Reads the body into the request; the inner error is the status to answer with.
fn body(
    reader: &mut impl BufRead,
    mut stream: impl Write,
    request: &mut Request,
) -> io::Result<Result<(), &'static str>> {
    const TOO_LARGE: &str = "413 Content Too Large";
    const BAD: &str = "400 Bad Request";
    let chunked = request
        .header("transfer-encoding")
        .map(str::to_ascii_lowercase);
    let lengths: Vec<&str> = request.all("content-length").collect();
    if chunked.is_some() && !lengths.is_empty() || lengths.len() > 1 {
        return Ok(Err(BAD)); // Two readings of one message: request smuggling.
    }
    let length = match lengths.first().map(|length| length.parse::<usize>()) {
        Some(Err(_)) => return Ok(Err(BAD)),
        Some(Ok(length)) if length > BODY_MAX => return Ok(Err(TOO_LARGE)),
        Some(Ok(length)) => length,
        None => 0,
    };
    if request
        .header("expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    match chunked.as_deref() {
        None => {
            request.body.resize(length, 0);
            reader.read_exact(&mut request.body)?;
        }
        Some("chunked") => loop {
            let Some(size) = line(reader)? else {
                return Ok(Err(BAD));
            };
            let size = size.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return Ok(Err(BAD));
            };
            if size > BODY_MAX - request.body.len() {
                return Ok(Err(TOO_LARGE));
            }
            if size == 0 {
                // Trailers.
                while line(reader)?.is_some_and(|line| !line.is_empty()) {}
                break;
            }
            let start = request.body.len();
            request.body.resize(start + size, 0);
            reader.read_exact(&mut request.body[start..])?;
            if line(reader)?.as_deref() != Some("") {
                return Ok(Err(BAD));
            }
        },
        Some(_) => return Ok(Err("501 Not Implemented")),
    }
    Ok(Ok(()))
}

/// A line without its end; `None` at the end of the input.
fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader
        .by_ref()
        .take(LINE_MAX)
        .read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line)
        .map(Some)
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Writes a response with a body, which is JSON if there is one.
pub(super) fn respond(
    mut stream: impl Write,
    status: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    close: bool,
) -> io::Result<()> {
    let mut out = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    if !body.is_empty() {
        out.push_str("content-type: application/json\r\n");
    }
    if close {
        out.push_str("connection: close\r\n");
    }
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    stream.write_all(&out)
}

/// Starts a response of server-sent events.
pub(super) fn begin_events(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
          transfer-encoding: chunked\r\n\r\n",
    )
}

/// Writes one event.
pub(super) fn event(mut stream: &TcpStream, message: &Value) -> io::Result<()> {
    let event = format!("event: message\ndata: {message}\n\n");
    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
}

/// Ends a response of server-sent events.
pub(super) fn end_events(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"0\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Read {
        read(&mut &bytes[..], io::sink()).unwrap()
    }

    #[test]
    fn a_body_has_a_length_or_comes_in_chunks() {
        let plain = b"POST /mcp?x=1 HTTP/1.1\r\nContent-Length: 3\r\nX-A:  b \r\n\r\nabc";
        let chunked = b"POST /mcp HTTP/1.1\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n\
                        1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n";
        for bytes in [&plain[..], chunked] {
            let Read::Request(request) = parse(bytes) else {
                panic!("{bytes:?}")
            };
            assert_eq!(
                (request.path.as_str(), request.body.as_slice()),
                ("/mcp", &b"abc"[..])
            );
            assert_eq!(request.header("x-a"), Some("b"));
            assert!(!request.close);
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for head in [
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: -1",
            "Content-Length : 1",
            "no colon",
        ] {
            let bytes = format!("POST / HTTP/1.1\r\n{head}\r\n\r\nab");
            assert!(
                matches!(parse(bytes.as_bytes()), Read::Bad("400 Bad Request")),
                "{head}"
            );
        }
    }

    #[test]
    fn large_bodies_are_refused_before_they_are_read() {
        let bytes = b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n";
        assert!(matches!(parse(bytes), Read::Bad("413 Content Too Large")));
        let bytes = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n";
        assert!(matches!(parse(bytes), Read::Bad("413 Content Too Large")));
    }

    #[test]
    fn the_end_of_a_connection_is_no_mistake() {
        assert!(matches!(parse(b""), Read::Closed));
    }
}
