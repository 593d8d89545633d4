//! Whether the kernel killed something of a container for memory. Docker's own `OOMKilled` speaks
//! of PID 1 only, which is `tool-init`; the server's end shows in the memory cgroup's counter.

use std::path::{Path, PathBuf};

/// Counts the kills in one memory cgroup, of either version.
#[derive(Debug, Default)]
pub(super) struct OomCounter {
    file: Option<PathBuf>,
    seen: u64,
}

impl OomCounter {
    /// The counter of the cgroup that a process is in, as it stands now.
    pub(super) fn of(pid: u32) -> Self {
        let Ok(groups) = std::fs::read_to_string(format!("/proc/{pid}/cgroup")) else {
            return Self::default();
        };
        let file = counter_file(&groups, Path::new("/sys/fs/cgroup"));
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

/// The file that counts, from the text of `/proc/PID/cgroup`: `N:memory:/path` (version 1) or
/// `0::/path` (version 2). Version 1 wins where both are mounted, as limits are there then.
fn counter_file(groups: &str, root: &Path) -> Option<PathBuf> {
    let group = |wanted: &dyn Fn(&str, &str) -> bool| {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(id, controllers).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    if let Some(path) = group(&|_, controllers| controllers.split(',').any(|name| name == "memory"))
    {
        return Some(root.join("memory").join(path).join("memory.oom_control"));
    }
    let path = group(&|id, controllers| id == "0" && controllers.is_empty())?;
    Some(root.join(path).join("memory.events"))
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
