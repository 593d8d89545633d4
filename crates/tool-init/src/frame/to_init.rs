//! What the host says to `tool-init`.

use super::strings::Strings;
use super::wire::{DecodeError, EncodeError, Kind, Reader, header, no_session, some_session};
use crate::protocol::{HEADER, MAX_MESSAGE, SessionId};
use crate::secret::SecretBytes;

/// SPAWN's flag: add the image's environment (that of PID 1) below the one that is sent.
const FLAG_INHERIT_ENV: u8 = 1;

/// A message from the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToInit<'a> {
    /// The version to speak, or [`crate::protocol::VERSION_NONE`].
    Welcome {
        /// Within what HELLO offered.
        version: u16,
    },
    /// Start a server. Travels with 2 descriptors (stdin, stdout), 3 (and stderr), or none (HTTP).
    Spawn(Spawn<'a>),
    /// Send a signal to the whole process group of a session.
    Signal {
        /// Whose.
        session: SessionId,
        /// 1 to 64.
        signal: u8,
    },
    /// Answered by PONG with the same number.
    Ping {
        /// Anything.
        nonce: u64,
    },
    /// SIGTERM to everything, SIGKILL after the grace, then exit 0.
    Shutdown {
        /// Milliseconds.
        grace_ms: u32,
    },
}

/// What to start, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spawn<'a> {
    /// The name under which the server is spoken of from now on.
    pub session: SessionId,
    /// Whether the image's variables are added where `env` has none of that name.
    pub inherit_env: bool,
    /// Working directory; empty: that of the image.
    pub cwd: Strings<'a>,
    /// Program and arguments; empty: those of the image.
    pub argv: Strings<'a>,
    /// `NAME=value` strings; may be secrets.
    pub env: Strings<'a>,
}

impl<'a> ToInit<'a> {
    /// The message as bytes, in a buffer that is wiped when dropped.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] if a SPAWN does not fit one message.
    pub fn encode(&self) -> Result<SecretBytes, EncodeError> {
        let (kind, flags, session) = match self {
            Self::Welcome { .. } => (Kind::Welcome, 0, 0),
            Self::Spawn(spawn) => (
                Kind::Spawn,
                u8::from(spawn.inherit_env) * FLAG_INHERIT_ENV,
                spawn.session.get(),
            ),
            Self::Signal { session, .. } => (Kind::Signal, 0, session.get()),
            Self::Ping { .. } => (Kind::Ping, 0, 0),
            Self::Shutdown { .. } => (Kind::Shutdown, 0, 0),
        };
        let size = HEADER + self.payload_size();
        if size > MAX_MESSAGE {
            return Err(EncodeError::TooLarge { size });
        }
        let mut out = SecretBytes::with_capacity(size);
        out.extend(&header(kind, flags, session));
        match self {
            Self::Welcome { version } => out.extend(&version.to_le_bytes()),
            Self::Spawn(spawn) => {
                for list in [spawn.cwd, spawn.argv, spawn.env] {
                    out.extend(&list.count().to_le_bytes());
                }
                for list in [spawn.cwd, spawn.argv, spawn.env] {
                    out.extend(list.bytes());
                }
            }
            Self::Signal { signal, .. } => out.extend(&[*signal]),
            Self::Ping { nonce } => out.extend(&nonce.to_le_bytes()),
            Self::Shutdown { grace_ms } => out.extend(&grace_ms.to_le_bytes()),
        }
        Ok(out)
    }

    fn payload_size(&self) -> usize {
        match self {
            Self::Welcome { .. } => 2,
            Self::Spawn(spawn) => [spawn.cwd, spawn.argv, spawn.env]
                .iter()
                .map(|list| 4 + list.bytes().len())
                .sum(),
            Self::Signal { .. } => 1,
            Self::Ping { .. } => 8,
            Self::Shutdown { .. } => 4,
        }
    }

    /// Reads one message; a SPAWN borrows from it.
    ///
    /// # Errors
    /// Whatever is wrong with it; nothing is half-read.
    pub fn decode(message: &'a [u8]) -> Result<Self, DecodeError> {
        let (kind, flags, session, mut reader) = Reader::open(message)?;
        if flags
            & !(if kind == Kind::Spawn {
                FLAG_INHERIT_ENV
            } else {
                0
            })
            != 0
        {
            return Err(DecodeError::Invalid("flags"));
        }
        let decoded = match kind {
            Kind::Spawn => {
                let session = some_session(session)?;
                return spawn(session, flags & FLAG_INHERIT_ENV != 0, reader).map(Self::Spawn);
            }
            Kind::Signal => {
                let signal = reader.u8()?;
                if !(1..=64).contains(&signal) {
                    return Err(DecodeError::Invalid("signal number"));
                }
                Self::Signal {
                    session: some_session(session)?,
                    signal,
                }
            }
            Kind::Welcome => Self::Welcome {
                version: reader.u16()?,
            },
            Kind::Ping => Self::Ping {
                nonce: reader.u64()?,
            },
            Kind::Shutdown => Self::Shutdown {
                grace_ms: reader.u32()?,
            },
            other => return Err(DecodeError::UnknownType(other as u8)),
        };
        if kind != Kind::Signal {
            no_session(session)?;
        }
        reader.end()?;
        Ok(decoded)
    }
}

fn spawn<'a>(
    session: SessionId,
    inherit_env: bool,
    mut reader: Reader<'a>,
) -> Result<Spawn<'a>, DecodeError> {
    let (cwd, argv, env) = (reader.u32()?, reader.u32()?, reader.u32()?);
    if cwd > 1 {
        return Err(DecodeError::Invalid("number of working directories"));
    }
    let (cwd, rest) = Strings::split(reader.rest(), cwd)?;
    let (argv, rest) = Strings::split(rest, argv)?;
    let (env, rest) = Strings::split(rest, env)?;
    if !rest.is_empty() {
        return Err(DecodeError::TooLong);
    }
    let named = |entry: &std::ffi::CStr| entry.to_bytes().iter().position(|b| *b == b'=') > Some(0);
    if !env.iter().all(named) {
        return Err(DecodeError::Invalid("environment entry without a name"));
    }
    Ok(Spawn {
        session,
        inherit_env,
        cwd,
        argv,
        env,
    })
}

#[cfg(test)]
mod tests {
    use super::super::StringsBuf;
    use super::*;

    fn session() -> SessionId {
        SessionId::new(7).unwrap()
    }

    fn a_spawn(check: impl FnOnce(ToInit<'_>)) {
        let cwd = StringsBuf::from_args(["/srv"]).unwrap();
        let argv = StringsBuf::from_args(["server", "--x"]).unwrap();
        let mut env = StringsBuf::new();
        env.push_env(b"TOKEN", b"s=cret").unwrap();
        check(ToInit::Spawn(Spawn {
            session: session(),
            inherit_env: true,
            cwd: cwd.as_strings(),
            argv: argv.as_strings(),
            env: env.as_strings(),
        }));
    }

    #[test]
    fn every_message_comes_back_as_it_went() {
        for message in [
            ToInit::Welcome { version: 1 },
            ToInit::Signal {
                session: session(),
                signal: 15,
            },
            ToInit::Ping { nonce: u64::MAX },
            ToInit::Shutdown { grace_ms: 5000 },
        ] {
            let bytes = message.encode().unwrap();
            assert_eq!(ToInit::decode(bytes.as_slice()), Ok(message));
        }
        a_spawn(|message| {
            let bytes = message.encode().unwrap();
            assert_eq!(ToInit::decode(bytes.as_slice()), Ok(message));
        });
    }

    #[test]
    fn a_message_cut_anywhere_is_refused() {
        a_spawn(|message| {
            let bytes = message.encode().unwrap();
            for end in 0..bytes.len() {
                assert!(
                    ToInit::decode(&bytes.as_slice()[..end]).is_err(),
                    "cut at {end}"
                );
            }
        });
    }

    #[test]
    fn nothing_unknown_is_let_through() {
        let ping = ToInit::Ping { nonce: 1 }.encode().unwrap();
        for (at, value) in [
            (0, 0),
            (0, 99),
            (0, Kind::Pong as u8),
            (1, 1),
            (2, 1),
            (3, 1),
            (4, 1),
        ] {
            let mut bytes = ping.as_slice().to_vec();
            bytes[at] = value;
            assert!(ToInit::decode(&bytes).is_err(), "byte {at} = {value}");
        }
        let mut longer = ping.as_slice().to_vec();
        longer.push(0);
        assert_eq!(ToInit::decode(&longer), Err(DecodeError::TooLong));
    }

    #[test]
    fn an_environment_above_one_message_is_refused_before_it_is_sent() {
        let mut env = StringsBuf::new();
        env.push_env(b"BIG", &vec![b'x'; MAX_MESSAGE]).unwrap();
        let empty = Strings::default();
        let spawn = Spawn {
            session: session(),
            inherit_env: false,
            cwd: empty,
            argv: empty,
            env: env.as_strings(),
        };
        let error = ToInit::Spawn(spawn).encode().unwrap_err();
        assert!(matches!(error, EncodeError::TooLarge { size } if size > MAX_MESSAGE));
    }

    #[test]
    fn an_environment_entry_needs_a_name() {
        for entry in ["NOEQUALS", "=value", ""] {
            let env = StringsBuf::from_args([entry]).unwrap();
            let empty = Strings::default();
            let spawn = Spawn {
                session: session(),
                inherit_env: false,
                cwd: empty,
                argv: empty,
                env: env.as_strings(),
            };
            let bytes = ToInit::Spawn(spawn).encode().unwrap();
            assert!(ToInit::decode(bytes.as_slice()).is_err(), "{entry:?}");
        }
    }
}
