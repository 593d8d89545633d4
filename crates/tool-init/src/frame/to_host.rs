//! What `tool-init` says to the host.

use std::fmt;

use super::wire::{DecodeError, Kind, Reader, header, no_session, some_session};
use crate::protocol::{HEADER, MAX_MESSAGE, SessionId};

/// A message to the host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToHost {
    /// The first message of a connection.
    Hello {
        /// Oldest version spoken.
        min: u16,
        /// Newest version spoken.
        max: u16,
        /// Servers that an earlier connection started and that still run.
        running: Vec<Running>,
    },
    /// The program of a SPAWN runs (its `execve` succeeded).
    Spawned {
        /// Whose.
        session: SessionId,
        /// In the container's own numbering.
        pid: u32,
    },
    /// A request was refused; nothing changed.
    Err {
        /// Whose, if the request named one.
        session: Option<SessionId>,
        /// What is wrong.
        refusal: Refusal,
    },
    /// A server ended. What is left of its process group has been killed.
    Exit {
        /// Whose.
        session: SessionId,
        /// How.
        status: ExitStatus,
    },
    /// Processes that their parents had left behind ended and were reaped.
    Orphans {
        /// In the container's own numbering.
        pids: Vec<u32>,
    },
    /// The answer to PING.
    Pong {
        /// That of the PING.
        nonce: u64,
    },
}

/// A server that still runs, for a host that connects anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Running {
    /// The id its SPAWN gave it.
    pub session: SessionId,
    /// In the container's own numbering.
    pub pid: u32,
    /// How it is reached.
    pub kind: ServerKind,
}

/// How a server is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerKind {
    /// On pipes that came with the SPAWN.
    Stdio,
    /// On the container's address.
    Http,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    /// It returned this code.
    Code(u8),
    /// This signal killed it. 9 without a request of ours: most likely out of memory; the memory
    /// cgroup's counter says (Docker's `OOMKilled` does not, for a process that is not PID 1).
    Signal(u8),
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// At which step a request failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Stage {
    /// The message itself: unreadable, cut short, or with the wrong descriptors.
    Message = 1,
    /// The session id: in use (SPAWN) or unknown (SIGNAL); or the container is shutting down.
    Session = 2,
    /// Making the process.
    Fork = 3,
    /// Descriptors, signals, process group.
    SetUp = 4,
    /// Entering the working directory.
    Cwd = 5,
    /// Replacing the process by the program.
    Exec = 6,
}

impl Stage {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Message,
            Self::Session,
            Self::Fork,
            Self::SetUp,
            Self::Cwd,
            Self::Exec,
        ]
        .into_iter()
        .find(|stage| *stage as u8 == byte)
    }
}

/// Why a request was refused: the step, and the kernel's `errno`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The step.
    pub stage: Stage,
    /// Linux error number.
    pub errno: i32,
}

impl fmt::Display for Refusal {
    /// A sentence for the person who deploys the tool.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match (self.stage, self.errno) {
            (Stage::Exec, libc::ENOENT) => {
                "the program does not exist in the image (or its interpreter does not)"
            }
            (Stage::Exec, libc::EACCES) => "the program may not be executed by the tool's user",
            (Stage::Exec, libc::ENOEXEC) => "the program is not built for this machine",
            (Stage::Exec, libc::E2BIG) => {
                "arguments and environment are too large: one value must stay below 128 KiB"
            }
            (Stage::Exec, libc::EINVAL) => "the image has no entrypoint and no command was given",
            (Stage::Cwd, _) => "the working directory cannot be entered",
            (Stage::Fork, libc::EAGAIN) => {
                "the limit on processes is reached: raise the tool's pids limit"
            }
            (Stage::Fork, libc::ENOMEM) => "the memory limit is reached: raise the tool's memory",
            (Stage::Session, libc::EEXIST) => "the session id is in use",
            (Stage::Session, libc::ESRCH) => "no such session",
            (Stage::Session, libc::ESHUTDOWN) => "the container is shutting down",
            (Stage::Message, _) => "the request was not understood",
            _ => "the process could not be started",
        };
        write!(
            f,
            "{words} ({})",
            std::io::Error::from_raw_os_error(self.errno)
        )
    }
}

impl std::error::Error for Refusal {}

impl ToHost {
    /// The message as bytes. A HELLO or ORPHANS that names more than one message can hold is cut:
    /// the pids limit of a container is far below.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello { min, max, running } => {
                let fit = running.len().min((MAX_MESSAGE - HEADER - 4) / 9);
                let mut out = header(Kind::Hello, 0, 0).to_vec();
                out.extend_from_slice(&min.to_le_bytes());
                out.extend_from_slice(&max.to_le_bytes());
                for server in &running[..fit] {
                    out.extend_from_slice(&server.session.get().to_le_bytes());
                    out.extend_from_slice(&server.pid.to_le_bytes());
                    out.push(u8::from(server.kind == ServerKind::Http));
                }
                out
            }
            Self::Spawned { session, pid } => {
                let mut out = header(Kind::Spawned, 0, session.get()).to_vec();
                out.extend_from_slice(&pid.to_le_bytes());
                out
            }
            Self::Err { session, refusal } => {
                let session = session.map_or(0, SessionId::get);
                let mut out = header(Kind::Err, 0, session).to_vec();
                out.push(refusal.stage as u8);
                out.extend_from_slice(&refusal.errno.to_le_bytes());
                out
            }
            Self::Exit { session, status } => {
                let mut out = header(Kind::Exit, 0, session.get()).to_vec();
                out.extend_from_slice(&match status {
                    ExitStatus::Code(code) => [0, *code],
                    ExitStatus::Signal(signal) => [1, *signal],
                });
                out
            }
            Self::Orphans { pids } => {
                let fit = pids.len().min((MAX_MESSAGE - HEADER) / 4);
                let mut out = header(Kind::Orphans, 0, 0).to_vec();
                pids[..fit]
                    .iter()
                    .for_each(|pid| out.extend_from_slice(&pid.to_le_bytes()));
                out
            }
            Self::Pong { nonce } => {
                let mut out = header(Kind::Pong, 0, 0).to_vec();
                out.extend_from_slice(&nonce.to_le_bytes());
                out
            }
        }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub fn decode(message: &[u8]) -> Result<Self, DecodeError> {
        let (kind, flags, session, mut reader) = Reader::open(message)?;
        if flags != 0 {
            return Err(DecodeError::Invalid("flags"));
        }
        if matches!(kind, Kind::Hello | Kind::Orphans | Kind::Pong) {
            no_session(session)?;
        }
        let decoded = match kind {
            Kind::Hello => {
                let (min, max) = (reader.u16()?, reader.u16()?);
                let (entries, rest) = reader.rest().as_chunks::<9>();
                if !rest.is_empty() {
                    return Err(DecodeError::TooShort);
                }
                let running = entries.iter().map(running).collect::<Result<_, _>>()?;
                return Ok(Self::Hello { min, max, running });
            }
            Kind::Orphans => {
                let (entries, rest) = reader.rest().as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(DecodeError::TooShort);
                }
                return Ok(Self::Orphans {
                    pids: entries
                        .iter()
                        .map(|entry| u32::from_le_bytes(*entry))
                        .collect(),
                });
            }
            Kind::Spawned => Self::Spawned {
                session: some_session(session)?,
                pid: reader.u32()?,
            },
            Kind::Err => {
                let stage = Stage::from_byte(reader.u8()?).ok_or(DecodeError::Invalid("stage"))?;
                let errno = reader.u32()?.cast_signed();
                Self::Err {
                    session: SessionId::new(session),
                    refusal: Refusal { stage, errno },
                }
            }
            Kind::Exit => {
                let status = match (reader.u8()?, reader.u8()?) {
                    (0, code) => ExitStatus::Code(code),
                    (1, signal) => ExitStatus::Signal(signal),
                    _ => return Err(DecodeError::Invalid("kind of exit")),
                };
                Self::Exit {
                    session: some_session(session)?,
                    status,
                }
            }
            Kind::Pong => Self::Pong {
                nonce: reader.u64()?,
            },
            other => return Err(DecodeError::UnknownType(other as u8)),
        };
        reader.end()?;
        Ok(decoded)
    }
}

fn running(entry: &[u8; 9]) -> Result<Running, DecodeError> {
    let [a, b, c, d, e, f, g, h, kind] = *entry;
    Ok(Running {
        session: some_session(u32::from_le_bytes([a, b, c, d]))?,
        pid: u32::from_le_bytes([e, f, g, h]),
        kind: match kind {
            0 => ServerKind::Stdio,
            1 => ServerKind::Http,
            _ => return Err(DecodeError::Invalid("kind of server")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_comes_back_as_it_went() {
        let session = SessionId::new(u32::MAX).unwrap();
        let refusal = Refusal {
            stage: Stage::Exec,
            errno: libc::ENOENT,
        };
        for message in [
            ToHost::Hello {
                min: 1,
                max: 2,
                running: vec![
                    Running {
                        session,
                        pid: 9,
                        kind: ServerKind::Http,
                    },
                    Running {
                        session,
                        pid: 8,
                        kind: ServerKind::Stdio,
                    },
                ],
            },
            ToHost::Spawned { session, pid: 12 },
            ToHost::Err {
                session: Some(session),
                refusal,
            },
            ToHost::Err {
                session: None,
                refusal,
            },
            ToHost::Exit {
                session,
                status: ExitStatus::Code(3),
            },
            ToHost::Exit {
                session,
                status: ExitStatus::Signal(9),
            },
            ToHost::Orphans { pids: vec![3, 4] },
            ToHost::Pong { nonce: 5 },
        ] {
            assert_eq!(ToHost::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn lists_are_cut_to_one_message() {
        let message = ToHost::Orphans {
            pids: vec![1; MAX_MESSAGE],
        }
        .encode();
        assert!(message.len() <= MAX_MESSAGE && ToHost::decode(&message).is_ok());
        let session = SessionId::new(1).unwrap();
        let running = vec![
            Running {
                session,
                pid: 1,
                kind: ServerKind::Http
            };
            MAX_MESSAGE
        ];
        let message = ToHost::Hello {
            min: 1,
            max: 1,
            running,
        }
        .encode();
        assert!(message.len() <= MAX_MESSAGE && ToHost::decode(&message).is_ok());
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let text = Refusal {
            stage: Stage::Fork,
            errno: libc::EAGAIN,
        }
        .to_string();
        assert!(text.contains("raise the tool's pids limit"), "{text}");
    }
}
