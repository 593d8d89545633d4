//! What a launcher tells the program that it starts, by variables of its environment, and what that
//! program tells it back, by its exit status. Older and newer versions have to agree: don't change.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::programs::OWN;

/// SHA-256 of the program that was started.
const PROGRAM: &str = "AGENTOPIA_DTMA_PROGRAM";
/// There when the launcher goes on as the parent.
const SUPERVISED: &str = "AGENTOPIA_DTMA_SUPERVISED";

/// Exit status of a supervised program that wants to be started again, to begin a trial.
pub const START_AGAIN: u8 = 100;

/// How this process came to be.
#[derive(Debug, Clone)]
pub struct Own {
    program: Option<String>,
    supervised: bool,
}

impl Own {
    /// As told by a launcher; otherwise we are one.
    #[must_use]
    pub fn of_this_process() -> Self {
        let program = std::env::var(PROGRAM).ok();
        Self {
            supervised: program.is_some() && std::env::var_os(SUPERVISED).is_some(),
            program,
        }
    }

    /// SHA-256 of our program, where a launcher told us.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.program.as_deref()
    }

    /// Becomes a launcher, to begin a trial: by ending, where one waits for us; otherwise in this
    /// very process, which keeps its number. Returns only where we have to end.
    ///
    /// The launcher is the program that runs, which is known to be good, and not what may have been
    /// put in the place of its file meanwhile.
    #[must_use]
    pub fn again(&self) -> ExitCode {
        if self.supervised {
            return ExitCode::from(START_AGAIN);
        }
        let mut arguments = std::env::args_os();
        let mut command = Command::new(own_file());
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        let error = command.args(arguments).env_remove(PROGRAM).exec();
        tracing::error!(%error, "this program can't be started again");
        ExitCode::FAILURE
    }
}

/// `program` with our arguments, as a launcher starts it.
pub(super) fn command(program: &Path, sha256: &str, supervised: bool) -> Command {
    let mut command = Command::new(program);
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    command
        .args(arguments)
        .env(PROGRAM, sha256)
        .env_remove(SUPERVISED);
    if supervised {
        command.env(SUPERVISED, "1");
    }
    command
}

/// The file of the running program: by its name, which tools that list processes show, if that is
/// still the same file.
fn own_file() -> PathBuf {
    let own = PathBuf::from(OWN);
    let same = |path: &PathBuf| {
        let (by_name, running) = (std::fs::metadata(path).ok()?, std::fs::metadata(&own).ok()?);
        ((by_name.dev(), by_name.ino()) == (running.dev(), running.ino())).then_some(())
    };
    match std::fs::read_link(&own) {
        Ok(path) if same(&path).is_some() => path,
        _ => own,
    }
}
