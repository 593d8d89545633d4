//! Being a bad server on purpose (`--fault MODE`), so that what runs servers can be tested with the
//! real thing. Not in the usage text: nobody deploys these.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::signal::{SigSet, Signal};

/// `eat-memory` stops here, should no limit have stopped it.
const MEMORY_MAX: usize = 4 << 30;

/// How to be bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `exit-at-once`: a line on stderr, then exit code 3, before anything is answered.
    ExitAtOnce,
    /// `hang-at-start`: runs, reads nothing, listens nowhere, answers nothing.
    HangAtStart,
    /// `garbage-on-stdout`: before each message (and at the start), lines that are none: words,
    /// bytes that are not UTF-8, half a JSON object, a number. Over stdio.
    GarbageOnStdout,
    /// `flood-stderr`: serves, and writes to stderr as fast as it can.
    FloodStderr,
    /// `ignore-sigterm`: serves, ends neither by SIGTERM nor when its input ends.
    IgnoreSigterm,
    /// `eat-memory`: serves, and takes memory until it is killed (or has 4 GiB).
    EatMemory,
    /// `other-words`: serves, and after its first `add` lists `echo` with another description, and one tool more.
    OtherWords,
}

impl Fault {
    pub(crate) fn parse(mode: &str) -> Result<Self, String> {
        Ok(match mode {
            "exit-at-once" => Self::ExitAtOnce,
            "hang-at-start" => Self::HangAtStart,
            "garbage-on-stdout" => Self::GarbageOnStdout,
            "flood-stderr" => Self::FloodStderr,
            "ignore-sigterm" => Self::IgnoreSigterm,
            "eat-memory" => Self::EatMemory,
            "other-words" => Self::OtherWords,
            _ => return Err(format!("--fault {mode}: unknown mode")),
        })
    }
}

/// What goes wrong before the server starts; an exit code if it does not start at all.
pub(crate) fn at_start(fault: Fault) -> Option<ExitCode> {
    match fault {
        Fault::ExitAtOnce => {
            crate::log("fault: exiting at once");
            return Some(ExitCode::from(3));
        }
        Fault::HangAtStart => {
            crate::log("fault: hanging");
            hang()
        }
        Fault::GarbageOnStdout => {}
        Fault::FloodStderr => drop(std::thread::spawn(flood)),
        Fault::IgnoreSigterm => {
            // Before any thread starts, so all of them inherit the mask.
            let mut signals = SigSet::empty();
            signals.add(Signal::SIGTERM);
            if signals.thread_block().is_err() {
                crate::log("fault: SIGTERM cannot be blocked");
            }
        }
        Fault::EatMemory => drop(std::thread::spawn(eat)),
        Fault::OtherWords => WORDS.store(WILL_CHANGE, Ordering::Relaxed),
    }
    None
}

/// Whether it describes its tools otherwise some time, or does so now.
static WORDS: AtomicU8 = AtomicU8::new(0);
const WILL_CHANGE: u8 = 1;
const CHANGED: u8 = 2;

/// `add` was called.
pub(crate) fn added() {
    let _unless_it_may =
        WORDS.compare_exchange(WILL_CHANGE, CHANGED, Ordering::Relaxed, Ordering::Relaxed);
}

/// Whether it describes its tools otherwise now.
pub(crate) fn has_other_words() -> bool {
    WORDS.load(Ordering::Relaxed) == CHANGED
}

/// What goes wrong when the server should end.
pub(crate) fn at_end(fault: Fault) {
    if fault == Fault::IgnoreSigterm {
        crate::log("fault: staying");
        hang();
    }
}

/// Written before each message with `garbage-on-stdout`.
pub(crate) const GARBAGE: &[u8] =
    b"Starting up...\n\xff\xfe not UTF-8 \xc0\n{\"jsonrpc\":\"2.0\",\"id\":\n42\n\n";

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

fn flood() {
    let lines = "agentopia-echo: fault: this line is one of very many\n".repeat(1000);
    while std::io::stderr().write_all(lines.as_bytes()).is_ok() {}
}

fn eat() {
    let mut kept = Vec::new();
    while kept.len() << 20 < MEMORY_MAX {
        // Written to, or the kernel would not give a page for it.
        kept.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
    hang();
}
