//! Signals, reaping and process attributes.

use std::fs::File;
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{check, retry};
use crate::frame::ExitStatus;

/// Signals, delivered by reading instead of by interruption.
#[derive(Debug)]
pub(crate) struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks SIGCHLD, SIGTERM and SIGINT for this process and delivers them here. A signal that is
    /// blocked reaches PID 1 although PID 1 has no default actions.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: `sigset_t` is plain data, set up by `sigemptyset` before it is used; the calls
        // get pointers to it only.
        let fd = unsafe {
            let mut set: libc::sigset_t = zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT] {
                libc::sigaddset(&raw mut set, signal);
            }
            check(libc::sigprocmask(
                libc::SIG_BLOCK,
                &raw const set,
                std::ptr::null_mut(),
            ))?;
            check(libc::signalfd(
                -1,
                &raw const set,
                libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
            ))?
        };
        // SAFETY: a non-negative result is a new descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Takes the next signal, if there is one.
    pub(crate) fn next(&self) -> Option<i32> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer is `size` bytes long, zeroed before, and any bytes are a valid value.
        let info = unsafe {
            if libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) != size as isize {
                return None;
            }
            info.assume_init()
        };
        i32::try_from(info.ssi_signo).ok()
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What to signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// One process.
    Process(u32),
    /// The process group of this leader.
    Group(u32),
    /// Every process that may be signalled but this one: as PID 1, the whole container.
    Everyone,
}

/// Sends a signal.
pub(crate) fn kill(target: Target, signal: i32) -> io::Result<()> {
    // 0, -0 and -1 mean more than one process to the kernel: they come from `Everyone` only.
    let process = |pid: u32| match i32::try_from(pid) {
        Ok(pid) if pid > 1 => Ok(pid),
        _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    };
    let pid = match target {
        Target::Process(pid) => process(pid)?,
        Target::Group(pid) => -process(pid)?,
        Target::Everyone => -1,
    };
    // SAFETY: no pointers.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// A child that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dead {
    pub(crate) pid: u32,
    pub(crate) status: ExitStatus,
}

/// What [`next_dead`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Children {
    /// One has ended and waits to be reaped.
    Dead(Dead),
    /// None has ended.
    AllAlive,
    /// There is no child.
    None,
}

/// Looks for a child that has ended, without reaping it: its id stays taken.
pub(crate) fn next_dead() -> io::Result<Children> {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `siginfo_t` is plain data for which all zeroes is a valid value.
    let mut info: libc::siginfo_t = unsafe { zeroed() };
    // SAFETY: the pointer is to a `siginfo_t`.
    match retry(|| unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) }) {
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(Children::None),
        result => result?,
    };
    // SAFETY: `waitid` fills the SIGCHLD fields, or leaves them zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let Some(pid) = u32::try_from(pid).ok().filter(|pid| *pid != 0) else {
        return Ok(Children::AllAlive);
    };
    // Exit codes and signal numbers are one byte: `wait` gives no more.
    let value = (status & 0xff) as u8;
    let exited = info.si_code == libc::CLD_EXITED;
    let status = if exited {
        ExitStatus::Code(value)
    } else {
        ExitStatus::Signal(value)
    };
    Ok(Children::Dead(Dead { pid, status }))
}

/// Reaps a child that has ended.
pub(crate) fn reap(pid: u32) {
    // SAFETY: the pointer is to a `siginfo_t`, plain data for which all zeroes is a valid value.
    let _ = retry(|| unsafe {
        let mut info: libc::siginfo_t = zeroed();
        libc::waitid(libc::P_PID, pid, &raw mut info, libc::WEXITED)
    });
}

/// Makes this process the one that inherits orphans (PID 1 is anyway) and closes it to `ptrace`
/// and `/proc` reads by others of the same user: without, any tool could take the control
/// connection, and with it the secrets of other sessions, out of this process.
pub(crate) fn shield() -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Marks every descriptor but the three standard ones close-on-exec, whoever opened it.
pub(crate) fn close_all_on_exec() {
    // SAFETY: no pointers; the flag changes no descriptor now.
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3u32,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if done == 0 {
        return;
    }
    // Before Linux 5.11, or filtered by an old seccomp profile.
    for fd in 3..1024 {
        // SAFETY: no pointers; an error (not open) is fine.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// `/dev/null`, for the input of a server that has none.
pub(crate) fn dev_null() -> io::Result<File> {
    File::open("/dev/null")
}
