//! What a container's cgroups tell, of either version: whether the kernel killed something in it for
//! memory, and how much is left of what it may have. Docker's own `OOMKilled` speaks of PID 1 only, which is
//! `tool-init`; the server's end shows in the cgroup's counter. Reading it takes microseconds, asking
//! the engine milliseconds.

use std::path::{Path, PathBuf};

use crate::runtime::Quota;

const ROOT: &str = "/sys/fs/cgroup";

/// Counts the kills in one memory cgroup, of either version.
#[derive(Debug, Default)]
pub(super) struct OomCounter {
    file: Option<PathBuf>,
    seen: u64,
}

impl OomCounter {
    /// The counter of the cgroup that a process is in, as it stands now.
    pub(super) fn of(pid: u32) -> Self {
        let file = groups_of(pid).and_then(|groups| counter_file(&groups, Path::new(ROOT)));
        let seen = file.as_deref().map_or(0, read);
        Self { file, seen }
    }

    /// Whether something was killed since the last time this was asked.
    pub(super) fn grew(&mut self) -> bool {
        let now = self.file.as_deref().map_or(self.seen, read);
        let grew = now > self.seen;
        self.seen = self.seen.max(now);
        grew
    }
}

/// The cgroups that limit a container.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    memory: Option<Directory>,
    threads: Option<Directory>,
}

impl Groups {
    /// Those that a process is in.
    pub(super) fn of(pid: u32) -> Self {
        let groups = groups_of(pid).unwrap_or_default();
        let directory = |controller| directory(&groups, controller, Path::new(ROOT));
        Self {
            memory: directory("memory"),
            threads: directory("pids"),
        }
    }

    /// What is used of each limit. What has none, or can't be read (any more), is left out.
    pub(super) fn read(&self) -> Vec<Quota> {
        let memory = self.memory.as_ref().and_then(memory);
        let threads = self.threads.as_ref().and_then(threads);
        memory.into_iter().chain(threads).collect()
    }
}

fn memory(group: &Directory) -> Option<Quota> {
    let (directory, used, limit, cache) = match group {
        Directory::V1(directory) => (
            directory,
            "memory.usage_in_bytes",
            "memory.limit_in_bytes",
            "total_inactive_file ",
        ),
        Directory::V2(directory) => (directory, "memory.current", "memory.max", "inactive_file "),
    };
    let details = std::fs::read_to_string(directory.join("memory.stat")).ok()?;
    let cache: u64 = details
        .lines()
        .find_map(|line| line.strip_prefix(cache)?.trim().parse().ok())?;
    Some(Quota {
        // The kernel drops the cache of files before it kills.
        used: number(directory, used)?.saturating_sub(cache),
        limit: number(directory, limit)?,
    })
}

fn threads(group: &Directory) -> Option<Quota> {
    let (Directory::V1(directory) | Directory::V2(directory)) = group;
    Some(Quota {
        used: number(directory, "pids.current")?,
        limit: number(directory, "pids.max")?,
    })
}

/// `None` for "max", too.
fn number(directory: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(directory.join(name)).ok()?;
    text.trim().parse().ok()
}

fn groups_of(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()
}

/// The directory of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Directory {
    V1(PathBuf),
    V2(PathBuf),
}

/// The file that counts kills.
fn counter_file(groups: &str, root: &Path) -> Option<PathBuf> {
    Some(match directory(groups, "memory", root)? {
        Directory::V1(directory) => directory.join("memory.oom_control"),
        Directory::V2(directory) => directory.join("memory.events"),
    })
}

/// From the text of `/proc/PID/cgroup`: `N:CONTROLLER:/path` (version 1) or `0::/path` (version 2).
/// Version 1 wins where both are mounted, as limits are there then.
fn directory(groups: &str, controller: &str, root: &Path) -> Option<Directory> {
    let group = |wanted: &dyn Fn(&str, &str) -> bool| {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(id, controllers).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let has_it = |_: &str, all: &str| all.split(',').any(|name| name == controller);
    if let Some(path) = group(&has_it) {
        return Some(Directory::V1(root.join(controller).join(path)));
    }
    let path = group(&|id, controllers| id == "0" && controllers.is_empty())?;
    Some(Directory::V2(root.join(path)))
}

fn read(file: &Path) -> u64 {
    std::fs::read_to_string(file).map_or(0, |text| count(&text))
}

/// `oom_kill N` stands in both versions' files.
fn count(text: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_and_counted() {
        let root = Path::new("/cg");
        let v1 = "5:memory:/docker/abc\n0::/\n";
        assert_eq!(
            counter_file(v1, root),
            Some("/cg/memory/docker/abc/memory.oom_control".into())
        );
        let pids = "8:pids:/docker/abc\n0::/\n";
        assert_eq!(
            directory(pids, "pids", root),
            Some(Directory::V1("/cg/pids/docker/abc".into()))
        );
        let v2 = "0::/system.slice/docker-abc.scope\n";
        assert_eq!(
            counter_file(v2, root),
            Some("/cg/system.slice/docker-abc.scope/memory.events".into())
        );
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 3);
        assert_eq!(
            count("low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 0\n"),
            2
        );
    }

    #[test]
    fn the_cache_of_files_does_not_count_as_used() {
        let v1 = [
            ("memory.usage_in_bytes", "500\n"),
            ("memory.limit_in_bytes", "1000\n"),
            ("memory.stat", "inactive_file 7\ntotal_inactive_file 100\n"),
        ];
        let v2 = [
            ("memory.current", "500\n"),
            ("memory.max", "1000\n"),
            ("memory.stat", "anon 1\ninactive_file 100\n"),
        ];
        for (make, files) in [
            (Directory::V1 as fn(PathBuf) -> Directory, v1),
            (Directory::V2, v2),
        ] {
            let directory = tempfile::tempdir().unwrap();
            for (name, text) in files {
                std::fs::write(directory.path().join(name), text).unwrap();
            }
            let group = make(directory.path().to_owned());
            let (used, limit) = (400, 1000);
            assert_eq!(memory(&group), Some(Quota { used, limit }));
        }
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in v2 {
            let text = if name == "memory.max" { "max\n" } else { text };
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let unlimited = Directory::V2(directory.path().to_owned());
        assert_eq!(memory(&unlimited), None);
    }

    #[test]
    fn a_kill_is_reported_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("memory.events");
        std::fs::write(&file, "oom_kill 1\n").unwrap();
        let mut counter = OomCounter {
            file: Some(file.clone()),
            seen: 1,
        };
        assert!(!counter.grew());
        std::fs::write(&file, "oom_kill 2\n").unwrap();
        assert!(counter.grew());
        assert!(!counter.grew());
    }
}
