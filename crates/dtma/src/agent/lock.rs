//! One DTMA a data directory: two would fight over the same tools.
//!
//! The file is locked for as long as the process lives and says who it is (`<process id> <start
//! time>`), so that whoever started it can find it again without taking a stranger for it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};

/// Held while the DTMA runs.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
}

/// Whether a DTMA has the lock.
///
/// # Errors
/// When that can't be found out.
pub(crate) fn is_running(data_dir: &Path) -> anyhow::Result<bool> {
    let path = data_dir.join("lock");
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        file => file.with_context(|| format!("{} can't be opened", path.display()))?,
    };
    Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err())
}

impl Lock {
    /// # Errors
    /// When another DTMA has it.
    pub(super) fn take(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("{} can't be opened", path.display()))?;
        let mut file =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
                anyhow::anyhow!(
                    "another DTMA runs on {} ({error}): stop it first",
                    data_dir.display()
                )
            })?;
        let own = format!("{} {}\n", std::process::id(), start_time()?);
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(own.as_bytes())?;
        Ok(Self { _file: file })
    }
}

/// When this process started, in clock ticks after boot (field 22 of `/proc/self/stat`).
fn start_time() -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace());
    let field = fields.and_then(|mut fields| fields.nth(19));
    field
        .and_then(|text| text.parse().ok())
        .context("/proc/self/stat has an unexpected form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_has_it_and_it_says_who() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_running(directory.path()).unwrap());
        let lock = Lock::take(directory.path()).unwrap();
        assert!(Lock::take(directory.path()).is_err());
        assert!(is_running(directory.path()).unwrap());
        let text = std::fs::read_to_string(directory.path().join("lock")).unwrap();
        let (pid, started) = text.trim().split_once(' ').unwrap();
        assert_eq!(pid, std::process::id().to_string());
        assert!(started.parse::<u64>().unwrap() > 0);
        drop(lock);
        assert!(!is_running(directory.path()).unwrap());
        Lock::take(directory.path()).unwrap();
    }
}
