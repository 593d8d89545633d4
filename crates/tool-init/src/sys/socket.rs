//! `AF_UNIX` sequenced-packet sockets, with descriptors passed along (`SCM_RIGHTS`).

use std::ffi::OsStr;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{check, retry};
use crate::protocol::MAX_FDS;

/// Who is at the other end of a connection, as the kernel recorded it at `connect`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Peer {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A new socket: close-on-exec and non-blocking.
pub(crate) fn seqpacket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers; a non-negative result is a new descriptor that nobody else owns.
    unsafe {
        Ok(OwnedFd::from_raw_fd(check(libc::socket(
            libc::AF_UNIX,
            kind,
            0,
        ))?))
    }
}

/// An address, and what must stay open while it is used.
struct Address {
    raw: libc::sockaddr_un,
    _directory: Option<std::fs::File>,
}

/// A socket address has room for 107 bytes; a longer path is reached through its open directory.
fn address(path: &Path) -> io::Result<Address> {
    // SAFETY: `sockaddr_un` is plain data for which all zeroes is a valid value.
    let mut raw: libc::sockaddr_un = unsafe { zeroed() };
    raw.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let fill = |raw: &mut libc::sockaddr_un, bytes: &[u8]| {
        if bytes.len() >= raw.sun_path.len() || bytes.is_empty() || bytes.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        for (to, from) in raw.sun_path.iter_mut().zip(bytes) {
            *to = from.cast_signed();
        }
        Ok(())
    };
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() < raw.sun_path.len() {
        fill(&mut raw, bytes)?;
        return Ok(Address {
            raw,
            _directory: None,
        });
    }
    let directory = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = path.file_name().unwrap_or(OsStr::new(""));
    let mut short = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    short.extend_from_slice(name.as_bytes());
    fill(&mut raw, &short)?;
    Ok(Address {
        raw,
        _directory: Some(directory),
    })
}

const ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_un>() as libc::socklen_t;

/// Connects; `WouldBlock` means that the host's queue is full.
pub(crate) fn connect(socket: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let address = address(path)?;
    let raw = &raw const address.raw;
    // SAFETY: `raw` points to a `sockaddr_un` of `ADDRESS_LEN` bytes that outlives the call.
    retry(|| unsafe { libc::connect(socket.as_raw_fd(), raw.cast(), ADDRESS_LEN) }).map(drop)
}

/// Binds to `path` with mode 0600 from the first moment on, and listens.
pub(crate) fn bind_and_listen(socket: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let address = address(path)?;
    let raw = &raw const address.raw;
    // SAFETY: the mode of an unbound socket is what `bind` gives the file (less the umask), so
    // there is no moment with wider rights. No pointers.
    check(unsafe { libc::fchmod(socket.as_raw_fd(), 0o600) })?;
    // SAFETY: `raw` points to a `sockaddr_un` of `ADDRESS_LEN` bytes that outlives the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), raw.cast(), ADDRESS_LEN) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), 8) }).map(drop)
}

/// Takes a connection from the queue.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let null = std::ptr::null_mut();
    // SAFETY: null address pointers are allowed and mean that the address is not wanted.
    let fd = retry(|| unsafe { libc::accept4(listener.as_raw_fd(), null, null.cast(), flags) })?;
    // SAFETY: a non-negative result is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The credentials of the process that connected.
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    // SAFETY: `ucred` is plain data for which all zeroes is a valid value.
    let mut cred: libc::ucred = unsafe { zeroed() };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the pointers are to a `ucred` and to its length.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &raw mut len,
        )
    })?;
    // A process outside of our own pid namespace shows as 0.
    Ok(Peer {
        pid: cred.pid.cast_unsigned(),
        uid: cred.uid,
        gid: cred.gid,
    })
}

/// Room for the control message of [`MAX_FDS`] descriptors and one more, aligned for its header.
#[repr(C, align(8))]
struct ControlBuffer([u8; 64]);

/// `CMSG_SPACE` of `count` descriptors.
fn control_space(count: usize) -> usize {
    // SAFETY: pure arithmetic on a small number.
    unsafe { libc::CMSG_SPACE((count * size_of::<libc::c_int>()) as libc::c_uint) as usize }
}

/// Sends one message, whole or not at all, with up to [`MAX_FDS`] descriptors. Never blocks.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    message: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    if fds.len() > MAX_FDS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut iov = libc::iovec {
        iov_base: message.as_ptr().cast_mut().cast(),
        iov_len: message.len(),
    };
    let mut control = ControlBuffer([0; 64]);
    // SAFETY: `msghdr` is plain data for which all zeroes is a valid value.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    if !fds.is_empty() {
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = control_space(fds.len()) as _;
        // SAFETY: the control buffer is aligned and has `control_space(MAX_FDS)` ≤ 64 bytes, so the
        // first header and its data, written unaligned, lie inside it.
        unsafe {
            let cmsg = libc::CMSG_FIRSTHDR(&raw const header);
            (*cmsg).cmsg_level = libc::SOL_SOCKET;
            (*cmsg).cmsg_type = libc::SCM_RIGHTS;
            let data_len = (fds.len() * size_of::<libc::c_int>()) as libc::c_uint;
            (*cmsg).cmsg_len = libc::CMSG_LEN(data_len) as _;
            let data = libc::CMSG_DATA(cmsg).cast::<libc::c_int>();
            for (at, fd) in fds.iter().enumerate() {
                data.add(at).write_unaligned(fd.as_raw_fd());
            }
        }
    }
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    loop {
        // SAFETY: `header` points to `iov` (over `message`, only read) and `control`, both alive.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// One received record.
#[derive(Debug)]
pub(crate) struct Received {
    /// Bytes of the message; 0 means that the other end closed.
    pub(crate) len: usize,
    /// Descriptors that came along, close-on-exec.
    pub(crate) fds: Vec<OwnedFd>,
    /// Bytes or descriptors were lost: what is here must not be used.
    pub(crate) truncated: bool,
}

/// Receives one record into `buffer`. With `take_fds` false, descriptors that came along are never
/// installed in this process, and the record counts as truncated. Never blocks.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    take_fds: bool,
) -> io::Result<Received> {
    let mut iov = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut control = ControlBuffer([0; 64]);
    // SAFETY: `msghdr` is plain data for which all zeroes is a valid value.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    if take_fds {
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = control_space(MAX_FDS + 1) as _;
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let len = loop {
        // SAFETY: `header` points to `iov` (over `buffer`, exclusively ours) and `control`, both
        // alive and of the lengths given.
        let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
        match usize::try_from(got) {
            Ok(len) => break len,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    };
    let truncated = header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    Ok(Received {
        len,
        fds: descriptors(&header),
        truncated,
    })
}

/// Takes the descriptors out of a received control buffer, into owners that close them.
fn descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel filled `header` and its control buffer; CMSG_FIRSTHDR and CMSG_NXTHDR stay
    // inside `msg_controllen` and give null at its end. The descriptors in an SCM_RIGHTS message
    // were installed for this process by this call and are owned by nobody else.
    unsafe {
        let mut cmsg = libc::CMSG_FIRSTHDR(header);
        while !cmsg.is_null() {
            if (*cmsg).cmsg_level == libc::SOL_SOCKET && (*cmsg).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*cmsg).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(cmsg).cast::<libc::c_int>();
                for at in 0..bytes / size_of::<libc::c_int>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(at).read_unaligned()));
                }
            }
            cmsg = libc::CMSG_NXTHDR(header, cmsg);
        }
    }
    fds
}

/// The length of the next record, without taking it; 0 means that the other end closed.
pub(crate) fn next_len(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    loop {
        let mut byte = 0u8;
        // SAFETY: one byte of room is given and one byte long is said.
        let got = unsafe { libc::recv(socket.as_raw_fd(), (&raw mut byte).cast(), 1, flags) };
        match usize::try_from(got) {
            Ok(len) => return Ok(len),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Makes a descriptor's open file non-blocking.
pub(crate) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: F_GETFL takes no pointer.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: F_SETFL takes a number.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

/// Waits until a descriptor is readable (`POLLIN`) or writable (`POLLOUT`), as asked, or until the
/// time is over; gives for each whether anything happened on it.
pub(crate) fn poll<const N: usize>(
    wanted: [Option<(BorrowedFd<'_>, libc::c_short)>; N],
    timeout: Option<std::time::Duration>,
) -> io::Result<[bool; N]> {
    // A negative descriptor is skipped by the kernel.
    let mut fds = wanted.map(|wanted| match wanted {
        Some((fd, events)) => libc::pollfd {
            fd: fd.as_raw_fd(),
            events,
            revents: 0,
        },
        None => libc::pollfd {
            fd: -1,
            events: 0,
            revents: 0,
        },
    });
    // Rounded up, so that a wait for a moment does not end just before it.
    let timeout = timeout.map_or(-1, |time| {
        libc::c_int::try_from(time.as_micros().div_ceil(1000)).unwrap_or(libc::c_int::MAX)
    });
    // SAFETY: `fds` is an array of N entries.
    match check(unsafe { libc::poll(fds.as_mut_ptr(), N as libc::nfds_t, timeout) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(fds.map(|fd| fd.revents != 0)),
    }
}
