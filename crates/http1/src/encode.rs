//! Bodies as they go out.

use std::io::Write as _;

use bytes::{BufMut as _, Bytes};

use crate::outbox::Outbox;

/// How the end of a body that goes out is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoder {
    /// Nothing is written, whatever there is: an answer to `HEAD`.
    Nothing,
    /// So many bytes are left.
    Length(u64),
    Chunked,
    UntilClose,
}

/// A body that is longer or shorter than was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a body is not as long as its content-length says")]
pub(crate) struct WrongLength;

impl Encoder {
    pub(crate) fn piece(&mut self, piece: Bytes, out: &mut Outbox) -> Result<(), WrongLength> {
        if piece.is_empty() {
            return Ok(());
        }
        match self {
            Self::Nothing => {}
            Self::UntilClose => out.put(piece),
            Self::Length(left) => {
                *left = left.checked_sub(piece.len() as u64).ok_or(WrongLength)?;
                out.put(piece);
            }
            Self::Chunked => {
                out.write(|to| {
                    // Writing to memory does not fail.
                    let _written = write!(to.writer(), "{:x}\r\n", piece.len());
                });
                out.put(piece);
                out.copy(b"\r\n");
            }
        }
        Ok(())
    }

    pub(crate) fn end(self, out: &mut Outbox) -> Result<(), WrongLength> {
        match self {
            Self::Chunked => out.copy(b"0\r\n\r\n"),
            Self::Length(1..) => return Err(WrongLength),
            Self::Nothing | Self::Length(0) | Self::UntilClose => {}
        }
        Ok(())
    }
}
