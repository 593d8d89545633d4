//! One control connection to a `tool-init`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::frame::{ToHost, ToInit};
use crate::protocol::{self, MAX_MESSAGE};
use crate::secret::SecretBytes;
use crate::sys::socket;

/// The connection. Dropping it closes it: servers go on, and `tool-init` connects again.
#[derive(Debug)]
pub struct Control {
    fd: OwnedFd,
}

impl Control {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Sends an encoded message ([`ToInit::encode`]) whole, or not at all. Descriptors are
    /// duplicated into the container: close yours afterwards, or a server's end of input never comes.
    ///
    /// # Errors
    /// `WouldBlock`: try again when writable. `BrokenPipe`, `ConnectionReset`: the container is gone.
    pub fn try_send(&self, message: &SecretBytes, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        socket::send(self.fd.as_fd(), message.as_slice(), fds)
    }

    /// Encodes and sends a message that carries neither descriptors nor secrets.
    ///
    /// # Errors
    /// As [`Control::try_send`]; `InvalidInput` if it cannot be encoded.
    pub fn try_send_plain(&self, message: &ToInit<'_>) -> io::Result<()> {
        let message = message
            .encode()
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        self.try_send(&message, &[])
    }

    /// Receives a message; `None` when the other end closed.
    ///
    /// # Errors
    /// `WouldBlock`: try again when readable. `InvalidData`: the message is not one of ours, was cut
    /// short, or had descriptors with it (which are never let into this process): whatever runs in
    /// there is not to be trusted with anything, drop the connection.
    pub fn try_recv(&self) -> io::Result<Option<ToHost>> {
        let refuse = |why: &'static str| Err(io::Error::new(io::ErrorKind::InvalidData, why));
        let len = match socket::next_len(self.fd.as_fd()) {
            // Closed with a message of ours unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            result => result?,
        };
        if len > MAX_MESSAGE {
            return refuse("tool-init sent a message above the limit");
        }
        let mut buffer = vec![0; len.max(1)];
        let received = socket::receive(self.fd.as_fd(), &mut buffer, false)?;
        if received.truncated {
            return refuse("tool-init sent a message that was cut short or carried descriptors");
        }
        if received.len == 0 {
            return Ok(None);
        }
        ToHost::decode(&buffer[..received.len])
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Answers a HELLO that offered `min..=max`. `Ok(None)`: no version suits both, which is what
    /// `tool-init` was told; it ends its servers and exits with [`protocol::EXIT_VERSION`].
    ///
    /// # Errors
    /// As [`Control::try_send`].
    pub fn welcome(&self, min: u16, max: u16) -> io::Result<Option<u16>> {
        let ours = (protocol::VERSION_MIN, protocol::VERSION_MAX);
        let version = protocol::negotiate(ours, (min, max));
        let said = version.unwrap_or(protocol::VERSION_NONE);
        self.try_send_plain(&ToInit::Welcome { version: said })?;
        Ok(version)
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Control {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
