//! Reading `/proc` (proc(5)): pure parsers, and one walk over the processes.

use std::time::Duration;

/// Clock ticks a second in `/proc`: fixed by the kernel's interface (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// Processor time since boot, in ticks, of all processors together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    busy: u64,
    all: u64,
}

impl Cpu {
    /// Thousandths of a processor in use since `before`, of `processors` in all.
    #[must_use]
    pub fn millis_since(self, before: Self, processors: u64) -> u32 {
        let all = self.all.saturating_sub(before.all);
        let busy = self.busy.saturating_sub(before.busy);
        let millis = (busy * 1000 * processors).checked_div(all).unwrap_or(0);
        u32::try_from(millis).unwrap_or(u32::MAX)
    }
}

/// Memory of the machine, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What new programs could get.
    pub available: u64,
}

/// The first line of `/proc/stat`. Waiting for a disk, and time stolen by other machines of the
/// host, is not use.
#[must_use]
pub fn cpu(stat: &str) -> Option<Cpu> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let [user, nice, system, idle, iowait, irq, softirq, ..] = ticks[..] else {
        return None;
    };
    Some(Cpu {
        busy: user + nice + system + irq + softirq,
        all: ticks.iter().sum::<u64>().max(idle + iowait),
    })
}

/// `/proc/meminfo`.
#[must_use]
pub fn memory(meminfo: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = meminfo.lines().find(|line| line.starts_with(name))?;
        let kib: u64 = line[name.len()..].split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory {
        total: field("MemTotal:")?,
        available: field("MemAvailable:")?,
    })
}

/// Bytes received and sent, from `/proc/net/dev`: of the machine's own interfaces, not of those
/// that containers hang on, whose traffic would count twice.
#[must_use]
pub fn network(dev: &str) -> (u64, u64) {
    const INNER: [&str; 5] = ["lo", "veth", "docker", "br-", "virbr"];
    dev.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| {
            let name = name.trim();
            !INNER.iter().any(|inner| name.starts_with(inner))
        })
        .filter_map(|(_, counters)| {
            let mut counters = counters.split_whitespace();
            let rx: u64 = counters.next()?.parse().ok()?;
            let tx: u64 = counters.nth(7)?.parse().ok()?;
            Some((rx, tx))
        })
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// Ticks of processor time and bytes of resident memory of all processes of the given groups.
#[must_use]
pub fn groups(groups: &[i32]) -> (u64, u64) {
    if groups.is_empty() {
        return (0, 0);
    }
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or(4096);
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return (0, 0);
    };
    processes
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter_map(|stat| process(&stat))
        .filter(|process| groups.contains(&process.group))
        .fold((0, 0), |sum, one| {
            (sum.0 + one.ticks, sum.1 + one.pages * page)
        })
}

#[derive(Debug, PartialEq, Eq)]
struct Process {
    group: i32,
    ticks: u64,
    pages: u64,
}

/// `/proc/<pid>/stat`. The name in brackets may hold anything, brackets included.
fn process(stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Numbered as in proc(5), where the state is field 3.
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Process {
        group: field(5)?.parse().ok()?,
        ticks: field(14)?.parse::<u64>().ok()? + field(15)?.parse::<u64>().ok()?,
        pages: field(24)?.parse().ok()?,
    })
}

/// Thousandths of a processor that `ticks` within `span` are.
#[must_use]
pub fn ticks_to_millis(ticks: u64, span: Duration) -> u32 {
    let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    let millis = ticks.saturating_mul(1000 * 1000 / TICKS_PER_SECOND) / span_ms;
    u32::try_from(millis).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_use_is_a_share_of_all_processors() {
        let before = cpu("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 …").unwrap();
        let after = cpu("cpu  150 0 100 850 0 0 0 0 0 0").unwrap();
        assert_eq!(after.millis_since(before, 2), 1000);
        assert_eq!(after.millis_since(after, 2), 0);
        assert_eq!(cpu("intr 1"), None);
    }

    #[test]
    fn only_the_machines_own_interfaces_count() {
        let dev = "Inter-|   Receive\n face |bytes\n    lo: 5 0 0 0 0 0 0 0 5 0\n  eth0: 10 1 0 0 0 0 0 0 20 2 0\nveth1a: 99 0 0 0 0 0 0 0 99 0\n";
        assert_eq!(network(dev), (10, 20));
    }

    #[test]
    fn a_process_with_an_odd_name_is_read() {
        let stat = "42 (a) b (c) S 1 77 77 0 -1 4194560 1 2 3 4 500 60 0 0 20 0 1 0 9 1000 25 18446744073709551615 1";
        assert_eq!(
            process(stat),
            Some(Process {
                group: 77,
                ticks: 560,
                pages: 25
            })
        );
    }

    #[test]
    fn ticks_are_hundredths_of_a_second() {
        assert_eq!(ticks_to_millis(500, Duration::from_secs(10)), 500);
    }

    #[test]
    fn our_own_group_uses_memory() {
        let group = nix::unistd::getpgrp().as_raw();
        assert!(groups(&[group]).1 > 0);
        assert_eq!(groups(&[]), (0, 0));
    }
}
