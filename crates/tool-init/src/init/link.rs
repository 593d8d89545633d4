//! The connection to the host, which may not be there yet, go away, and come back.
//!
//! Until the first WELCOME the wait is bounded (the supervisor exits with code 124 then); afterwards
//! it is not: servers go on while the host is being updated or restarted.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::frame::ToHost;
use crate::sys::Pages;
use crate::sys::socket::{self, Received};

const RETRY_FIRST: Duration = Duration::from_millis(1);
/// Also bounds how long a host that came back waits for us.
const RETRY_MAX: Duration = Duration::from_millis(200);
/// Messages kept for a host that is away or does not read. Then the oldest goes: HELLO tells what
/// runs, so that the host can conclude the rest.
const QUEUE_MAX: usize = 1024;

#[derive(Debug)]
enum State {
    /// Try again then.
    Down { retry_at: Instant },
    /// HELLO is on its way, WELCOME not yet here. Nothing else is sent.
    Greeting { fd: OwnedFd, hello: Option<Vec<u8>> },
    /// In use.
    Up { fd: OwnedFd },
}

/// The connection and what is to be said on it.
#[derive(Debug)]
pub(super) struct Link {
    path: PathBuf,
    state: State,
    /// Before the next attempt; doubles with each that fails, WELCOME sets it back. So a host that
    /// accepts and closes (because it expects someone else) is not hammered.
    pause: Duration,
    queue: VecDeque<Vec<u8>>,
}

impl Link {
    pub(super) fn new(path: PathBuf, now: Instant) -> Self {
        let state = State::Down { retry_at: now };
        Self {
            path,
            state,
            pause: RETRY_FIRST,
            queue: VecDeque::new(),
        }
    }

    /// When [`Link::connect`] wants to be called, if it does.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match &self.state {
            State::Down { retry_at } => Some(*retry_at),
            _ => None,
        }
    }

    /// Tries to connect if it is time to; `hello` makes the first message.
    pub(super) fn connect(&mut self, now: Instant, hello: impl FnOnce() -> ToHost) {
        let State::Down { retry_at } = self.state else {
            return;
        };
        if now < retry_at {
            return;
        }
        let connected = socket::seqpacket().and_then(|fd| {
            socket::connect(fd.as_fd(), &self.path)?;
            Ok(fd)
        });
        match connected {
            Ok(fd) => {
                self.state = State::Greeting {
                    fd,
                    hello: Some(hello().encode()),
                };
                self.flush(now);
            }
            Err(_) => self.drop_connection(now),
        }
    }

    /// Whether WELCOME is what must come next.
    pub(super) fn is_greeting(&self) -> bool {
        matches!(self.state, State::Greeting { .. })
    }

    /// WELCOME came: from now on the queue flows.
    pub(super) fn welcomed(&mut self, now: Instant) {
        self.pause = RETRY_FIRST;
        let down = State::Down { retry_at: now };
        match std::mem::replace(&mut self.state, down) {
            State::Greeting { fd, .. } => self.state = State::Up { fd },
            other => self.state = other,
        }
        self.flush(now);
    }

    /// The connection is of no use any more.
    pub(super) fn drop_connection(&mut self, now: Instant) {
        self.state = State::Down {
            retry_at: now + self.pause,
        };
        self.pause = (self.pause * 2).min(RETRY_MAX);
    }

    /// Sends when possible, at the latest after the next WELCOME.
    pub(super) fn send(&mut self, message: &ToHost, now: Instant) {
        if self.queue.len() == QUEUE_MAX {
            self.queue.pop_front();
        }
        self.queue.push_back(message.encode());
        self.flush(now);
    }

    /// Whether everything that can be said has been said.
    pub(super) fn is_flushed(&self) -> bool {
        !matches!(self.state, State::Up { .. }) || self.queue.is_empty()
    }

    /// Says what the socket takes.
    pub(super) fn flush(&mut self, now: Instant) {
        let result = match &mut self.state {
            State::Down { .. } => return,
            State::Greeting { fd, hello } => match hello.as_deref() {
                Some(bytes) => {
                    let sent = socket::send(fd.as_fd(), bytes, &[]);
                    if sent.is_ok() {
                        *hello = None;
                    }
                    sent
                }
                None => return,
            },
            State::Up { fd } => loop {
                let Some(bytes) = self.queue.front() else {
                    break Ok(());
                };
                match socket::send(fd.as_fd(), bytes, &[]) {
                    Ok(()) => drop(self.queue.pop_front()),
                    Err(error) => break Err(error),
                }
            },
        };
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.drop_connection(now),
        }
    }

    /// What to poll for.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, libc::c_short)> {
        let (fd, writing) = match &self.state {
            State::Down { .. } => return None,
            State::Greeting { fd, hello } => (fd, hello.is_some()),
            State::Up { fd } => (fd, !self.queue.is_empty()),
        };
        Some((
            fd.as_fd(),
            if writing {
                libc::POLLIN | libc::POLLOUT
            } else {
                libc::POLLIN
            },
        ))
    }

    /// Takes the next record; `None` if there is none now or no connection any more.
    pub(super) fn receive(&mut self, buffer: &mut Pages, now: Instant) -> Option<Received> {
        let fd = match &self.state {
            State::Down { .. } => return None,
            State::Greeting { fd, .. } | State::Up { fd } => fd.as_fd(),
        };
        match socket::receive(fd, buffer.bytes(), true) {
            Ok(received) if received.len > 0 || received.truncated => Some(received),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // Closed, or broken.
            _ => {
                self.drop_connection(now);
                None
            }
        }
    }
}
