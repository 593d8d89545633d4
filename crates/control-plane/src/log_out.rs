//! Where the log's lines go: standard error, each in one write, or many in one where [`together`] says so.
//!
//! Every call through the gateway is a line of the log. One system call for each of them costs more than making
//! the line does, and the calls' records are written in batches anyway.

use std::cell::RefCell;
use std::io::{self, Write};

/// So many bytes are held back at most.
const ENOUGH: usize = 64 << 10;

thread_local! {
    /// Lines that wait, while this thread is in [`together`].
    static HELD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Standard error, as the log writes to it.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogOut;

/// What `work` logs on this thread leaves in as few writes as possible, all of it before this returns.
pub fn together<T>(work: impl FnOnce() -> T) -> T {
    let _held = Held::begin();
    work()
}

/// Lets go of what is held when it is dropped, also when the work panics.
struct Held {
    /// Another one around it holds already.
    is_within: bool,
}

impl Held {
    fn begin() -> Self {
        let is_within = HELD.with_borrow_mut(|held| {
            let is_within = held.is_some();
            held.get_or_insert_default();
            is_within
        });
        Self { is_within }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_within
            && let Some(lines) = HELD.take()
        {
            // As with every line: whoever closed our standard error does not want the log.
            let _ = io::stderr().write_all(&lines);
        }
    }
}

impl Write for LogOut {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let held = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            let lines = held.as_mut()?;
            Some(hold(lines, line, &mut io::stderr()))
        });
        // A thread that is ending holds nothing any more.
        match held.ok().flatten() {
            Some(held) => held.map(|()| line.len()),
            None => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Adds a line to those that wait; when it gets too much, those before it go out.
fn hold(lines: &mut Vec<u8>, line: &[u8], out: &mut impl Write) -> io::Result<()> {
    let written = match lines.len() + line.len() > ENOUGH {
        true => out.write_all(&std::mem::take(lines)),
        false => Ok(()),
    };
    lines.extend_from_slice(line);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_in_their_order_and_within_a_limit() {
        let (mut lines, mut out) = (Vec::new(), Vec::new());
        let line = [b'x'; ENOUGH / 2];
        hold(&mut lines, b"first\n", &mut out).unwrap();
        hold(&mut lines, &line, &mut out).unwrap();
        assert!(out.is_empty());
        hold(&mut lines, &line, &mut out).unwrap();
        assert!(out.starts_with(b"first\n") && out.len() == line.len() + 6);
        assert_eq!(lines, line);
    }

    #[test]
    fn what_is_held_is_held_until_the_outermost_ends() {
        let held = || HELD.with_borrow(|held| held.as_ref().map(Vec::len));
        together(|| {
            LogOut.write_all(b"one\n").unwrap();
            together(|| LogOut.write_all(b"two\n").unwrap());
            assert_eq!(held(), Some(8));
        });
        assert_eq!(held(), None);
        let panicked = std::panic::catch_unwind(|| together(|| panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(held(), None);
    }
}
