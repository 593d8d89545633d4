//! Facts that both ends of the control connection must agree on: versions, limits, exit codes, ids.
//!
//! The messages themselves are in [`crate::frame`].

use std::fmt;
use std::num::NonZeroU32;

/// The oldest protocol version this build speaks.
pub const VERSION_MIN: u16 = 1;
/// The newest protocol version this build speaks.
pub const VERSION_MAX: u16 = 1;
/// What the host answers in WELCOME when no version suits both: `tool-init` then exits with
/// [`EXIT_VERSION`]. No real version is ever 0.
pub const VERSION_NONE: u16 = 0;

/// The largest message, header included, in bytes. Linux takes no single environment string above
/// 128 KiB (`MAX_ARG_STRLEN`) anyway, and a message of this size fits the default send buffer.
pub const MAX_MESSAGE: usize = 128 * 1024;
/// Bytes before the payload: `u8 type, u8 flags, u16 zero, u32 session`, little-endian.
pub const HEADER: usize = 8;
/// The most descriptors a message may carry: stdin, stdout and (optional) stderr of a SPAWN.
pub const MAX_FDS: usize = 3;

/// Where the container finds the socket unless `--socket` says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/dtma/init.sock";
/// How long `tool-init` waits, at its start, for the host to answer, in milliseconds.
pub const DEFAULT_WAIT_MS: u64 = 60_000;
/// Time between SIGTERM and SIGKILL when PID 1 itself is told to stop, in milliseconds; below the
/// ten seconds after which `docker stop` kills.
pub const DEFAULT_GRACE_MS: u32 = 8_000;

/// Exit code after an ordered shutdown (SHUTDOWN, SIGTERM or SIGINT).
pub const EXIT_OK: u8 = 0;
/// Exit code when the host never answered within the wait of the start.
pub const EXIT_NO_HOST: u8 = 124;
/// Exit code when the versions have no overlap, or the process could not be set up.
pub const EXIT_VERSION: u8 = 125;

/// Picks the version that a host speaking `host` (lowest, highest) uses with an init that offers
/// `init`, or `None` without overlap.
#[must_use]
pub fn negotiate(host: (u16, u16), init: (u16, u16)) -> Option<u16> {
    let version = host.1.min(init.1);
    (version >= host.0 && version >= init.0 && version != VERSION_NONE).then_some(version)
}

/// One server process: a stdio session, or the HTTP server of the container. Chosen by the host,
/// free to be used again after its EXIT. Never 0, which on the wire means "the connection itself".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(NonZeroU32);

impl SessionId {
    /// `None` for 0.
    #[must_use]
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_wins() {
        assert_eq!(negotiate((1, 1), (1, 1)), Some(1));
        assert_eq!(negotiate((1, 3), (2, 5)), Some(3));
        assert_eq!(negotiate((2, 9), (1, 4)), Some(4));
    }

    #[test]
    fn no_overlap_gives_none() {
        assert_eq!(negotiate((1, 1), (2, 3)), None);
        assert_eq!(negotiate((4, 5), (2, 3)), None);
        assert_eq!(negotiate((0, 0), (0, 0)), None);
    }
}
