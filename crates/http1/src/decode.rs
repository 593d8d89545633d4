//! Bodies as they come in: takes what is in the buffer and says what of it is the body.

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::SizeHint;

use crate::framing::Framing;
use crate::inbox::LARGEST;

/// A body that is known to be no longer than this comes in one piece, bytes.
const WHOLE: u64 = LARGEST as u64;
/// The longest line that says how long a chunk is, with extensions that nobody uses.
const LONGEST_CHUNK_LINE: usize = 4 << 10;
/// All trailers together. They are read over: nothing here has a use for them.
const LONGEST_TRAILERS: usize = 16 << 10;

/// A body that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the length of a chunk is no number")]
    Chunk,
    #[error("a chunk does not end where it should")]
    ChunkEnd,
    #[error("a line behind the chunks does not end as it should")]
    Trailer,
    #[error("too much was said about a chunk")]
    TooLong,
}

/// Where in a body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoder {
    Done,
    /// So many bytes are left.
    Length(u64),
    /// Before the line that says how long the next chunk is.
    ChunkLine,
    /// So many bytes of the chunk are left.
    Chunk(u64),
    /// Before the line end behind a chunk.
    ChunkEnd,
    /// Behind the last chunk; so much was read over.
    Trailers(usize),
    UntilClose,
}

impl From<Framing> for Decoder {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Empty => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::ChunkLine,
            Framing::UntilClose => Self::UntilClose,
        }
    }
}

impl Decoder {
    /// The next piece of the body that is in `buffer`; `None` where there is none: because it is all read
    /// ([`Self::is_done`]), or because more has to come.
    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Malformed> {
        loop {
            if buffer.is_empty() {
                return Ok(None);
            }
            match *self {
                Self::Done => return Ok(None),
                Self::UntilClose => return Ok(Some(buffer.split().freeze())),
                // Whoever reads it wants all of it, and would have to put the pieces together.
                Self::Length(left) if left <= WHOLE && (buffer.len() as u64) < left => {
                    return Ok(None);
                }
                Self::Length(left) => {
                    let piece = take(buffer, left);
                    *self = match left - piece.len() as u64 {
                        0 => Self::Done,
                        left => Self::Length(left),
                    };
                    return Ok(Some(piece));
                }
                Self::Chunk(left) => {
                    let piece = take(buffer, left);
                    *self = match left - piece.len() as u64 {
                        0 => Self::ChunkEnd,
                        left => Self::Chunk(left),
                    };
                    // The end may be here already, and with it the end of the body.
                    self.pass_lines(buffer)?;
                    return Ok(Some(piece));
                }
                Self::ChunkLine | Self::ChunkEnd | Self::Trailers(_) => {
                    if !self.pass_lines(buffer)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Reads over the lines around chunks. Whether it got to a chunk, or to the end.
    fn pass_lines(&mut self, buffer: &mut BytesMut) -> Result<bool, Malformed> {
        loop {
            match *self {
                Self::ChunkEnd => match &buffer[..] {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        *self = Self::ChunkLine;
                    }
                    [] | [b'\r'] => return Ok(false),
                    _ => return Err(Malformed::ChunkEnd),
                },
                Self::ChunkLine => match httparse::parse_chunk_size(buffer) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        buffer.advance(line);
                        *self = match size {
                            0 => Self::Trailers(0),
                            size => Self::Chunk(size),
                        };
                    }
                    Ok(httparse::Status::Partial) if buffer.len() > LONGEST_CHUNK_LINE => {
                        return Err(Malformed::TooLong);
                    }
                    Ok(httparse::Status::Partial) => return Ok(false),
                    Err(_) => return Err(Malformed::Chunk),
                },
                Self::Trailers(before) => {
                    let Some(line) = memchr::memchr(b'\n', buffer) else {
                        let is_too_long = before + buffer.len() > LONGEST_TRAILERS;
                        return if is_too_long {
                            Err(Malformed::TooLong)
                        } else {
                            Ok(false)
                        };
                    };
                    if line == 0 || buffer[line - 1] != b'\r' {
                        return Err(Malformed::Trailer);
                    }
                    let is_last = line == 1;
                    buffer.advance(line + 1);
                    *self = match before + line {
                        _ if is_last => Self::Done,
                        read if read > LONGEST_TRAILERS => return Err(Malformed::TooLong),
                        read => Self::Trailers(read + 1),
                    };
                }
                Self::Done | Self::Length(_) | Self::Chunk(_) | Self::UntilClose => {
                    return Ok(true);
                }
            }
        }
    }

    pub(crate) fn is_done(self) -> bool {
        self == Self::Done
    }

    /// Whether the end of the connection is the end of the body, and not in its middle.
    pub(crate) fn may_close(self) -> bool {
        matches!(self, Self::Done | Self::UntilClose)
    }

    /// How much is known to come, bytes.
    pub(crate) fn expects(self) -> u64 {
        match self {
            Self::Length(left) | Self::Chunk(left) => left,
            _ => 0,
        }
    }

    pub(crate) fn size_hint(self) -> SizeHint {
        match self {
            Self::Done => SizeHint::with_exact(0),
            Self::Length(left) => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }
}

fn take(buffer: &mut BytesMut, most: u64) -> Bytes {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    buffer.split_to(buffer.len().min(most)).freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes what comes in pieces of `size`; what was left over, too.
    fn all(
        framing: Framing,
        wire: &[u8],
        size: usize,
    ) -> Result<(Vec<u8>, bool, Vec<u8>), Malformed> {
        let mut decoder = Decoder::from(framing);
        let mut buffer = BytesMut::new();
        let mut body = Vec::new();
        for piece in wire.chunks(size) {
            buffer.extend_from_slice(piece);
            while let Some(data) = decoder.decode(&mut buffer)? {
                body.extend_from_slice(&data);
            }
        }
        Ok((body, decoder.is_done(), buffer.to_vec()))
    }

    #[test]
    fn bodies_come_out_however_they_are_cut() {
        let chunked = b"5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nx-a: b\r\n\r\nnext";
        for size in 1..=chunked.len() {
            let (body, is_done, rest) = all(Framing::Chunked, chunked, size).unwrap();
            assert_eq!(
                (&body[..], is_done, &rest[..]),
                (&b"hello world"[..], true, &b"next"[..])
            );
            let (body, is_done, rest) = all(Framing::Length(3), b"abcnext", size).unwrap();
            assert_eq!(
                (&body[..], is_done, &rest[..]),
                (&b"abc"[..], true, &b"next"[..])
            );
            let (body, is_done, _) = all(Framing::UntilClose, b"abc", size).unwrap();
            assert_eq!((&body[..], is_done), (&b"abc"[..], false));
        }
    }

    #[test]
    fn the_end_is_known_with_the_last_piece() {
        let mut decoder = Decoder::from(Framing::Chunked);
        let mut buffer = BytesMut::from(&b"1\r\na\r\n0\r\n\r\n"[..]);
        assert_eq!(decoder.decode(&mut buffer).unwrap().unwrap(), "a");
        assert!(decoder.is_done());
    }

    #[test]
    fn what_is_no_chunk_is_an_error() {
        let failed = |wire: &[u8]| all(Framing::Chunked, wire, usize::MAX).unwrap_err();
        assert_eq!(failed(b"x\r\n"), Malformed::Chunk);
        assert_eq!(failed(b"-1\r\n"), Malformed::Chunk);
        assert_eq!(failed(b"11111111111111111\r\n"), Malformed::Chunk);
        assert_eq!(failed(b"1\r\nab\r\n"), Malformed::ChunkEnd);
        assert_eq!(failed(b"0\r\n\n"), Malformed::Trailer);
        assert_eq!(failed(b"0\r\na: b\n\r\n"), Malformed::Trailer);
        let long = [b"1;".as_slice(), &[b'x'; 5000]].concat();
        assert_eq!(failed(&long), Malformed::TooLong);
        let long = [b"0\r\n".as_slice(), &[b'x'; 17 << 10]].concat();
        assert_eq!(failed(&long), Malformed::TooLong);
        let many = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(4_000)].concat();
        assert_eq!(failed(&many), Malformed::TooLong);
    }
}
