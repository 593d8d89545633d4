//! Starting a program by bare `fork` and `execve`.
//!
//! Not `std::process::Command`: its `posix_spawn` may use `clone3`, which container profiles
//! filter, and it would copy the environment, with the secrets in it, to places that nobody wipes.
//! This process has one thread, so the child may run anything; it still allocates nothing.

use std::ffi::CStr;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::{check, signal};
use crate::frame::{Refusal, Stage};

/// What to start. Strings are borrowed from the received message; nothing is copied.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Paths to try, in order (more than one when the program is looked up in PATH).
    pub(crate) programs: &'a [&'a CStr],
    pub(crate) argv: &'a [&'a CStr],
    pub(crate) env: &'a [&'a CStr],
    pub(crate) cwd: Option<&'a CStr>,
    /// What becomes descriptors 0, 1 and 2: above 2, or in its place already.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// Written to `/proc/self/oom_score_adj`, so that a server dies before PID 1 does.
    pub(crate) oom_score_adj: &'a [u8],
    /// Kill the child when this process dies. PID 1 takes everything with it anyway.
    pub(crate) die_with_parent: bool,
}

/// Starts it in a process group of its own. Returns when the program runs (its `execve` succeeded).
pub(crate) fn spawn(launch: &Launch<'_>) -> Result<u32, Refusal> {
    let pointers = |strings: &[&CStr]| -> Vec<*const libc::c_char> {
        strings
            .iter()
            .map(|s| s.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    };
    let (argv, env) = (pointers(launch.argv), pointers(launch.env));
    let at = |stage| {
        move |error: io::Error| Refusal {
            stage,
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        }
    };
    // Close-on-exec: end of file means that the program runs.
    let (mut report, reporter) = io::pipe().map_err(at(Stage::Fork))?;

    // SAFETY: the process has a single thread, so the child starts with consistent memory.
    let pid = check(unsafe { libc::fork() }).map_err(at(Stage::Fork))?;
    if pid == 0 {
        // SAFETY: this is the child, it holds what `run` asks for (see there) and never returns.
        unsafe {
            let mut report_to = reporter.as_raw_fd();
            let failure = run(launch, &argv, &env, &mut report_to);
            let [a, b, c, d] = failure.errno.to_le_bytes();
            let bytes = [failure.stage as u8, a, b, c, d];
            libc::write(report_to, bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127);
        }
    }
    drop(reporter);
    let pid = pid.cast_unsigned();
    let mut failure = [0; 5];
    if report.read_exact(&mut failure).is_err() {
        return Ok(pid);
    }
    signal::reap(pid);
    let [stage, errno @ ..] = failure;
    let stage = Stage::from_byte(stage).unwrap_or(Stage::Exec);
    Err(Refusal {
        stage,
        errno: i32::from_le_bytes(errno),
    })
}

/// The child's part: everything up to `execve`. Returns only what went wrong.
///
/// # Safety
/// To be called in a freshly forked child. `argv` and `env` are null-terminated arrays of pointers
/// to strings that are alive.
unsafe fn run(
    launch: &Launch<'_>,
    argv: &[*const libc::c_char],
    env: &[*const libc::c_char],
    report_to: &mut RawFd,
) -> Refusal {
    let last = |stage| Refusal {
        stage,
        errno: io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    };
    // SAFETY: plain system calls; every pointer is to a live, NUL-terminated string, a live array
    // (by the contract above) or a local of the type that the call expects.
    unsafe {
        if libc::setpgid(0, 0) < 0 {
            return last(Stage::SetUp);
        }
        if launch.die_with_parent {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        }
        for (to, from) in (0 as RawFd..).zip(launch.stdio) {
            let from = from.as_raw_fd();
            // `dup2` clears close-on-exec on its target.
            if from != to && libc::dup2(from, to) < 0 {
                return last(Stage::SetUp);
            }
        }
        // Ignored signals (SIGPIPE, by Rust's start-up) and the mask would outlive `execve`.
        // Not by glibc's `signal`, which leaves the two that glibc uses itself alone.
        let default = [0u64; 8]; // The kernel's `struct sigaction`: SIG_DFL, no flags, no mask.
        for signal in 1..=64 {
            let old = std::ptr::null_mut::<u64>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                old,
                8usize,
            );
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) < 0 {
            return last(Stage::SetUp);
        }
        // Becoming dumpable opens this process to others of the same user for the moment before
        // `execve`, so the control connection must be gone from it by then.
        if close_all_but(report_to) {
            lower_priority_in_oom(launch.oom_score_adj);
        }
        if let Some(cwd) = launch.cwd
            && libc::chdir(cwd.as_ptr()) < 0
        {
            return last(Stage::Cwd);
        }
        // As a shell looks for it: go on while a candidate is not there; remember "not allowed".
        let mut failure = Refusal {
            stage: Stage::Exec,
            errno: libc::ENOENT,
        };
        for program in launch.programs {
            libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr());
            let refusal = last(Stage::Exec);
            match refusal.errno {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => failure = refusal,
                _ => return refusal,
            }
        }
        failure
    }
}

/// Closes everything above the standard three but `keep`, which moves to 3. False if the kernel has
/// no such call (Linux before 5.9) or a filter forbids it: everything is close-on-exec in any case.
///
/// # Safety
/// To be called in a freshly forked child, which uses no other descriptor afterwards.
unsafe fn close_all_but(keep: &mut RawFd) -> bool {
    // SAFETY: no pointers; the caller gives up every other descriptor.
    unsafe {
        if *keep != 3 {
            if libc::dup3(*keep, 3, libc::O_CLOEXEC) < 0 {
                return false;
            }
            *keep = 3;
        }
        libc::syscall(libc::SYS_close_range, 4u32, u32::MAX, 0u32) == 0
    }
}

/// Best effort: without `/proc` the kernel picks by size, which is the server as well.
///
/// # Safety
/// To be called in a freshly forked child.
unsafe fn lower_priority_in_oom(value: &[u8]) {
    // SAFETY: plain system calls on a literal path, on `value`, and on the descriptor just opened.
    unsafe {
        // The files of a process that is not dumpable belong to root. `execve` sets this anyway.
        libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
        let path = c"/proc/self/oom_score_adj";
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, value.as_ptr().cast(), value.len());
            libc::close(fd);
        }
    }
}
