//! Processes of this machine, found by what they are and never by name alone.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process, named so that a later one with the same number is not taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks after boot.
    pub started: u64,
}

impl Process {
    /// The process with this number, unless it has ended.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        let threads = fields.nth(16)?;
        let started = fields.nth(1)?.parse().ok()?;
        // The first thread of a killed process can be done before the others, which still hold its
        // files and sockets.
        let has_ended = state == "Z" && threads == "1";
        (!has_ended).then_some(Self { pid, started })
    }

    /// The process that a DTMA's lock file names, if it lives.
    #[must_use]
    pub fn from_lock(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let named = Self {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        };
        named.is_alive().then_some(named)
    }

    /// Whether it is still the same process and has not ended.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// SIGKILL, to this process alone. One that has ended is fine.
    pub fn kill(self) {
        self.signal(Signal::SIGKILL);
    }

    /// Another signal.
    pub fn signal(self, signal: Signal) {
        if self.is_alive() {
            // It may end between the question and this.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Its arguments, joined by spaces.
    #[must_use]
    pub fn command_line(self) -> String {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&bytes)
            .replace('\0', " ")
            .trim()
            .to_owned()
    }

    /// Resident memory in bytes.
    #[must_use]
    pub fn resident_bytes(self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid)).unwrap_or_default();
        let pages: u64 = statm
            .split_whitespace()
            .nth(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        pages * 4096
    }
}

/// Every process that has not ended.
#[must_use]
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Process::of)
        .collect()
}

/// All processes below `ancestor`, itself not counted.
#[must_use]
pub fn descendants(ancestor: Process) -> Vec<Process> {
    let processes = all();
    let parents: HashMap<i32, i32> = processes
        .iter()
        .filter_map(|process| Some((process.pid, parent(process.pid)?)))
        .collect();
    processes
        .into_iter()
        .filter(|process| {
            let mut pid = process.pid;
            while let Some(parent) = parents.get(&pid) {
                if *parent == ancestor.pid {
                    return true;
                }
                pid = *parent;
            }
            false
        })
        .collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// Processes that belong to a directory: they work in it, run a program from it, or name it in
/// their arguments.
#[must_use]
pub fn of_directory(directory: &Path) -> Vec<Process> {
    let own = std::process::id();
    let text = directory.to_string_lossy().into_owned();
    all()
        .into_iter()
        .filter(|process| u32::try_from(process.pid) != Ok(own))
        .filter(|process| {
            let proc = format!("/proc/{}", process.pid);
            let below = |link: &str| {
                fs::read_link(format!("{proc}/{link}")).is_ok_and(|to| to.starts_with(directory))
            };
            below("cwd") || below("exe") || process.command_line().contains(&text)
        })
        .collect()
}

/// Processes whose environment has `variable` (`NAME=value`).
#[must_use]
pub fn with_variable(variable: &str) -> Vec<Process> {
    all()
        .into_iter()
        .filter(|process| {
            fs::read(format!("/proc/{}/environ", process.pid)).is_ok_and(|environment| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|entry| entry == variable.as_bytes())
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_and_killed_and_then_gone() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = Process::of(pid).unwrap();
        let own = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(descendants(own).contains(&process));
        process.kill();
        child.wait().unwrap();
        assert!(!process.is_alive());
        assert!(!descendants(own).contains(&process));
    }
}
