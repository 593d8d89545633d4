//! The system calls that `std` has no safe form of: the only `unsafe` of this crate.
//!
//! Each function here is safe to call with any argument; whatever a call needs to be sound is
//! established inside it. [`socket`]: sequenced-packet sockets and descriptor passing. [`process`]:
//! fork and exec. [`signal`]: signals, reaping, process attributes. This file: memory.

#![expect(
    unsafe_code,
    reason = "bare system calls: PID 1 may depend on nothing but libc, see Cargo.toml"
)]

pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod socket;

use std::io;
use std::sync::atomic::{Ordering, compiler_fence};

/// Overwrites `bytes` with zeroes in a way that the compiler may not leave out.
pub(crate) fn wipe(bytes: &mut [u8]) {
    for byte in bytes.iter_mut() {
        // SAFETY: `byte` is a valid, exclusive reference to one byte.
        unsafe { std::ptr::write_volatile(byte, 0) };
    }
    compiler_fence(Ordering::SeqCst);
}

/// Memory mapped for the receive buffer, so that its pages can be given back after a large message
/// instead of staying resident for the life of the container.
#[derive(Debug)]
pub(crate) struct Pages {
    start: std::ptr::NonNull<u8>,
    len: usize,
}

impl Pages {
    /// `len` zeroed bytes, none of them resident yet.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no
        // memory that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = std::ptr::NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    /// The bytes.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `len` bytes long, readable, writable, zero-initialised, lives as
        // long as `self`, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Zeroes the first `used` bytes, then gives all pages back to the kernel.
    pub(crate) fn wipe_and_release(&mut self, used: usize) {
        let len = self.len;
        let bytes = self.bytes();
        wipe(&mut bytes[..used.min(len)]);
        // SAFETY: the range is exactly the mapping that `self` owns; a private anonymous page reads
        // as zeroes after this. No reference to it is alive.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, libc::MADV_DONTNEED) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range is exactly the mapping made in `new`, unmapped once.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The result of a call that gives -1 on failure.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The same, again when a signal interrupted the call.
fn retry(mut call: impl FnMut() -> libc::c_int) -> io::Result<libc::c_int> {
    loop {
        match check(call()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
