//! What happened in a schedule, line by line, and a hash of it: two runs of one seed have the same.
//!
//! No line holds what differs between two runs for reasons outside of the simulation: keys and
//! certificates, which are made by the kernel's randomness, and all that is signed or sealed with
//! them.

use std::fmt;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::time::VirtualClock;

/// The lines of one schedule.
#[derive(Debug)]
pub(crate) struct Trace {
    clock: VirtualClock,
    lines: Mutex<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(clock: VirtualClock) -> Self {
        Self {
            clock,
            lines: Mutex::default(),
        }
    }

    /// Notes that something happened now.
    pub(crate) fn say(&self, what: impl fmt::Display) {
        let at = self.clock.elapsed();
        let line = format!("{:>9.3} {what}", at.as_secs_f64());
        self.lines.lock().push(line);
    }

    /// All lines, and their hash.
    pub(crate) fn finish(&self) -> (Vec<String>, String) {
        let lines = std::mem::take(&mut *self.lines.lock());
        let mut hash = Sha256::new();
        for line in &lines {
            hash.update(line);
            hash.update("\n");
        }
        (lines, hex::encode(hash.finalize()))
    }
}
