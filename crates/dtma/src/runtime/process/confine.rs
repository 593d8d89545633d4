//! What happens in a child between `fork` and `exec`: the only unsafe code of this crate.
//!
//! The closure runs in a process that has one thread of ours but locks and heap of many: it may
//! only make system calls (signal-safety(7)), and must not allocate or log.
#![expect(
    unsafe_code,
    reason = "pre_exec is the only way to set no-new-privileges and a parent-death signal"
)]

use std::io;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};
use tokio::process::Command;

/// Memory on top of what the tool was promised: `RLIMIT_DATA` counts reserved private memory
/// (thread stacks, JavaScript heaps), not what is really used.
const RESERVED: u64 = 1 << 30;
/// Files that a tool may have open.
const OPEN_FILES: u64 = 4096;

/// Has children of `command` confined: no new privileges, no core dumps (they would hold secrets),
/// limits on memory and open files, and death with the DTMA.
///
/// There is no limit on the number of processes: `RLIMIT_NPROC` counts all processes of the user,
/// so it would either not hold (root) or hit programs that have nothing to do with us.
pub(super) fn confine(command: &mut Command, memory_bytes: u64) {
    let parent = Pid::this();
    let data = memory_bytes.saturating_add(RESERVED);
    let setup = move || -> io::Result<()> {
        prctl::set_no_new_privs()?;
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The DTMA may have died before the line above: then nobody would tell us.
        if getppid() != parent {
            return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
        }
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        setrlimit(Resource::RLIMIT_DATA, data, data)?;
        setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES)?;
        Ok(())
    };
    // SAFETY: `setup` makes system calls only. It captures two numbers by value, allocates
    // nothing, takes no lock, and its error is a plain number.
    unsafe {
        command.pre_exec(setup);
    }
}
