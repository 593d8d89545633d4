//! Starting, recognising and stopping the `dtma` process of one machine.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::files::{MachineDir, cannot};
use crate::ProviderError;

/// How long a DTMA gets to stop by itself. It has to stop tools first where the runtime is
/// `process`, which take up to ten seconds.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How large a DTMA's log may be when it is started.
const LOG_LIMIT: u64 = 16 << 20;
/// How often we look whether it has stopped: it is not always our child, so we can't wait for it.
const POLL: Duration = Duration::from_millis(50);
/// How long removing everything of a machine may take.
const PURGE_LIMIT: Duration = Duration::from_secs(120);

/// A process, named so that a later one with the same number is not taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    pid: i32,
    /// Clock ticks after boot, field 22 of `/proc/<pid>/stat`.
    started: u64,
}

impl Identity {
    fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in brackets and may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (state != "Z").then_some(Self { pid, started })
    }

    /// Who holds the lock of the DTMA's data directory. The DTMA itself writes this once it has
    /// the lock, so a second one that was started by mistake ends without a trace.
    fn read(dir: &MachineDir) -> Option<Self> {
        let text = fs::read_to_string(dir.lock_file()).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        Some(Self {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        })
    }

    fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

pub(super) fn is_running(dir: &MachineDir) -> bool {
    Identity::read(dir).is_some_and(Identity::is_alive)
}

pub(super) fn launch(dtma: &Path, dir: &MachineDir) -> Result<(), ProviderError> {
    rotate(&dir.log_file())?;
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.log_file())
        .map_err(|error| cannot("open", &dir.log_file(), &error))?;
    let errors = log
        .try_clone()
        .map_err(|error| cannot("open", &dir.log_file(), &error))?;
    let mut command = command(dtma, "run", dir);
    // A group of its own: a Ctrl-C for the control plane must not end the tools' machine.
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    let mut child = command.spawn().map_err(|error| {
        ProviderError::Final(format!(
            "the management agent {} can't be started: {error}; set `dtma_binary` to its path",
            dtma.display()
        ))
    })?;
    // Reaped by a thread of its own so that it never stays as a zombie of ours.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Sets a log that has grown too large aside, in the place of the one before.
fn rotate(log: &Path) -> Result<(), ProviderError> {
    match fs::metadata(log) {
        Ok(metadata) if metadata.len() > LOG_LIMIT => fs::rename(log, log.with_extension("log.1"))
            .map_err(|error| cannot("rename", log, &error)),
        _ => Ok(()),
    }
}

pub(super) async fn stop(dir: &MachineDir) -> Result<(), ProviderError> {
    let Some(identity) = Identity::read(dir) else {
        return Ok(());
    };
    for (signal, limit) in [(Signal::SIGTERM, STOP_LIMIT), (Signal::SIGKILL, STOP_LIMIT)] {
        if !identity.is_alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(identity.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => {
                return Err(ProviderError::Final(format!(
                    "the management agent (process {}) can't be stopped: {error}",
                    identity.pid
                )));
            }
        }
        let ended = async {
            while identity.is_alive() {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(limit, ended).await.is_ok() {
            return Ok(());
        }
    }
    Err(ProviderError::Retryable(format!(
        "the management agent (process {}) does not end",
        identity.pid
    )))
}

/// Has the DTMA take away everything it made on this machine: containers, networks, volumes.
pub(super) async fn purge(dtma: &Path, dir: &MachineDir) -> Result<(), ProviderError> {
    let mut command = tokio::process::Command::from(command(dtma, "purge", dir));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PURGE_LIMIT, command.output())
        .await
        .map_err(|_| {
            ProviderError::Retryable("removing the machine's tools takes too long".into())
        })?
        .map_err(|error| cannot("run", dtma, &error))?;
    if output.status.success() {
        Ok(())
    } else {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().last().unwrap_or("it did not say why");
        Err(ProviderError::Retryable(format!(
            "the machine's tools can't be removed: {last}"
        )))
    }
}

fn command(dtma: &Path, verb: &str, dir: &MachineDir) -> Command {
    let mut command = Command::new(dtma);
    command.arg(verb).arg("--config").arg(dir.config());
    // What the control plane was given, secrets among it, is none of the machine's business.
    command.env_clear();
    for name in [
        "PATH",
        "HOME",
        "LANG",
        "DOCKER_HOST",
        "RUST_LOG",
        "XDG_RUNTIME_DIR",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_number_and_its_start() {
        let own = Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.is_alive());
        let stranger = Identity {
            started: own.started + 1,
            ..own
        };
        assert!(!stranger.is_alive(), "the same number, but another process");
    }

    #[test]
    fn a_process_that_ended_is_not_alive_even_as_a_zombie() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(i32::try_from(child.id()).unwrap()).unwrap();
        child.kill().unwrap();
        while identity.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(Identity::of(identity.pid), None);
    }

    #[tokio::test]
    async fn stopping_ends_the_process_that_holds_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let dir = MachineDir::new(root.path().join("machine"));
        fs::create_dir_all(root.path().join("machine/data")).unwrap();
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(i32::try_from(child.id()).unwrap()).unwrap();
        fs::write(
            dir.lock_file(),
            format!("{} {}\n", identity.pid, identity.started),
        )
        .unwrap();
        assert!(is_running(&dir));
        stop(&dir).await.unwrap();
        assert!(!is_running(&dir));
        child.wait().unwrap();

        // The same number with another start is somebody else: left alone.
        let own = std::process::id();
        fs::write(dir.lock_file(), format!("{own} 1\n")).unwrap();
        stop(&dir).await.unwrap();
    }
}
