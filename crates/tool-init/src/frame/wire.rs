//! Header, cursor over a payload, and the two error types of the codec.

use std::fmt;

use crate::protocol::{HEADER, MAX_MESSAGE, SessionId};

/// The first byte of each message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    Hello = 1,
    Welcome = 2,
    Spawn = 3,
    Spawned = 4,
    Err = 5,
    Exit = 6,
    Signal = 7,
    Orphans = 8,
    Ping = 9,
    Pong = 10,
    Shutdown = 11,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Welcome,
            3 => Self::Spawn,
            4 => Self::Spawned,
            5 => Self::Err,
            6 => Self::Exit,
            7 => Self::Signal,
            8 => Self::Orphans,
            9 => Self::Ping,
            10 => Self::Pong,
            11 => Self::Shutdown,
            _ => return None,
        })
    }
}

/// Why bytes are not a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The record ends before its content does.
    TooShort,
    /// The record is longer than [`MAX_MESSAGE`], or bytes are left over after its content.
    TooLong,
    /// A type that this build does not know, or that goes in the other direction.
    UnknownType(u8),
    /// A field has a value that the protocol does not allow; the words name it.
    Invalid(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("the message is cut short"),
            Self::TooLong => f.write_str("the message is longer than its content"),
            Self::UnknownType(kind) => write!(f, "unexpected message type {kind}"),
            Self::Invalid(what) => write!(f, "invalid {what}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Why a message cannot be put on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EncodeError {
    /// The message would be `size` bytes; at most [`MAX_MESSAGE`] are possible. In practice the
    /// environment (configuration and secrets) of the tool is too large.
    TooLarge {
        /// Bytes it would take.
        size: usize,
    },
    /// An argument or environment string has a zero byte in it.
    ZeroByte,
    /// An environment name is empty or has `=` in it.
    BadName,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { size } => write!(
                f,
                "arguments and environment take {size} bytes, at most {MAX_MESSAGE} are possible: \
                 pass large values as files on the tool's volume"
            ),
            Self::ZeroByte => {
                f.write_str("an argument or environment value contains a zero byte: remove it")
            }
            Self::BadName => {
                f.write_str("an environment variable's name is empty or contains '=': rename it")
            }
        }
    }
}

impl std::error::Error for EncodeError {}

/// Reads a message from front to back.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Splits header and payload: type, flags, session (0 = none).
    pub(super) fn open(message: &'a [u8]) -> Result<(Kind, u8, u32, Self), DecodeError> {
        if message.len() > MAX_MESSAGE {
            return Err(DecodeError::TooLong);
        }
        let mut reader = Self { rest: message };
        let kind = reader.u8()?;
        let flags = reader.u8()?;
        let reserved = reader.u16()?;
        let session = reader.u32()?;
        let kind = Kind::from_byte(kind).ok_or(DecodeError::UnknownType(kind))?;
        if reserved != 0 {
            return Err(DecodeError::Invalid("reserved header field"));
        }
        Ok((kind, flags, session, reader))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::TooShort)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn end(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TooLong)
        }
    }
}

/// The header of a message.
pub(super) fn header(kind: Kind, flags: u8, session: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = kind as u8;
    header[1] = flags;
    header[4..].copy_from_slice(&session.to_le_bytes());
    header
}

/// A session that must be there.
pub(super) fn some_session(session: u32) -> Result<SessionId, DecodeError> {
    SessionId::new(session).ok_or(DecodeError::Invalid("session 0"))
}

/// A session that must not be there.
pub(super) fn no_session(session: u32) -> Result<(), DecodeError> {
    if session == 0 {
        Ok(())
    } else {
        Err(DecodeError::Invalid("session on this message"))
    }
}

/// The session named in the header of a message that may otherwise be unreadable: for the answer
/// that says so.
#[must_use]
pub fn session_of(message: &[u8]) -> Option<SessionId> {
    let bytes = message.get(4..HEADER)?.try_into().ok()?;
    SessionId::new(u32::from_le_bytes(bytes))
}
