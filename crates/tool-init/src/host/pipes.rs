//! The pipes of a session.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::fchown;

use super::Owner;
use crate::sys::socket::set_nonblocking;

/// Both ends of a session's standard input and output. Pipes, not socket pairs: programs open
/// `/dev/stdout`, which works on pipes only.
#[derive(Debug)]
pub struct SessionPipes {
    /// Write here what the server reads. Non-blocking. Closing it asks the server to end.
    pub stdin: OwnedFd,
    /// Read here what the server writes. Non-blocking.
    pub stdout: OwnedFd,
    /// Goes with the SPAWN; drop it afterwards.
    pub tool: ToolEnds,
}

/// The server's ends. Blocking, as programs expect.
#[derive(Debug)]
pub struct ToolEnds {
    stdin: OwnedFd,
    stdout: OwnedFd,
}

impl ToolEnds {
    /// As SPAWN wants them.
    #[must_use]
    pub fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.stdin.as_fd(), self.stdout.as_fd()]
    }
}

impl SessionPipes {
    /// New pipes, close-on-exec, given to the container's user (or left with ours).
    ///
    /// # Errors
    /// No descriptors left, or no right to give the pipes away.
    pub fn new(owner: Option<Owner>) -> io::Result<Self> {
        let (tool_stdin, stdin) = io::pipe()?;
        let (stdout, tool_stdout) = io::pipe()?;
        if let Some(owner) = owner {
            for fd in [tool_stdin.as_fd(), tool_stdout.as_fd()] {
                fchown(fd, Some(owner.uid), Some(owner.gid))?;
            }
        }
        set_nonblocking(&stdin)?;
        set_nonblocking(&stdout)?;
        Ok(Self {
            stdin: stdin.into(),
            stdout: stdout.into(),
            tool: ToolEnds {
                stdin: tool_stdin.into(),
                stdout: tool_stdout.into(),
            },
        })
    }
}
