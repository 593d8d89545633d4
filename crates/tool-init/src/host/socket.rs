//! The socket on which the host waits for the `tool-init` of one container.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};

use super::Control;
use crate::sys::socket;

/// The user and group of a container, as the host numbers them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Who may connect: anybody else is turned away before a byte is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExpectedPeer {
    /// The container's PID 1 as the host numbers it (`State.Pid`). A tool of the same user cannot
    /// have it.
    pub pid: u32,
    /// Its user, as the host numbers it.
    pub uid: u32,
}

/// A listening socket, whose file goes when the right peer has connected or when this is dropped.
///
/// Its directory must belong to the host and be mounted read-only into the container: a tool that
/// could write there would replace the file by a link to something else of the host's.
#[derive(Debug)]
pub struct HostSocket {
    fd: OwnedFd,
    path: PathBuf,
    /// Device and inode of our file, so that we never remove somebody else's.
    identity: Option<(u64, u64)>,
}

impl HostSocket {
    /// Listens at `path` (mode 0600, given to `owner`). A socket left over from before is replaced.
    ///
    /// # Errors
    /// The directory is missing or not writable; `AlreadyExists` if something that is not a socket
    /// is in the way; no right to give the file away.
    pub fn bind(path: &Path, owner: Option<Owner>) -> io::Result<Self> {
        match path.symlink_metadata() {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let fd = socket::seqpacket()?;
        socket::bind_and_listen(fd.as_fd(), path)?;
        let mut bound = Self {
            fd,
            path: path.to_owned(),
            identity: None,
        };
        bound.identity = bound.on_disk();
        if let Some(owner) = owner {
            lchown(path, Some(owner.uid), Some(owner.gid))?;
        }
        Ok(bound)
    }

    /// Takes the next connection and checks who made it. On success the socket's file is removed;
    /// bind anew to let the container connect again.
    ///
    /// # Errors
    /// `WouldBlock`: nobody there yet. `PermissionDenied`: it was somebody else, who has been turned
    /// away; go on accepting.
    pub fn accept(&self, expected: ExpectedPeer) -> io::Result<Control> {
        let connection = socket::accept(self.fd.as_fd())?;
        let peer = socket::peer(connection.as_fd())?;
        if (peer.pid, peer.uid) != (expected.pid, expected.uid) {
            let message = format!(
                "process {} (uid {}, gid {}) connected in place of process {} (uid {})",
                peer.pid, peer.uid, peer.gid, expected.pid, expected.uid
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        self.unlink();
        Ok(Control::new(connection))
    }

    fn on_disk(&self) -> Option<(u64, u64)> {
        self.path
            .symlink_metadata()
            .ok()
            .map(|found| (found.dev(), found.ino()))
    }

    fn unlink(&self) {
        if self.identity.is_some() && self.on_disk() == self.identity {
            // Gone already is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Drop for HostSocket {
    fn drop(&mut self) {
        self.unlink();
    }
}

impl AsFd for HostSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for HostSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
