//! What the service manager starts: decides which program runs, and sees a trial through.
//!
//! It runs before anything else does, on one thread. Where nothing was ever updated it costs a look
//! for one file.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;
use std::time::Duration;

use agentopia_domain::Ambient;
use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};

use super::handover::{self, Own, START_AGAIN};
use super::programs::{DTMA, Programs};
use super::state::{Fault, Next, Program, Stamp, State};
use super::trial::{End, Limits, Supervisor};
use crate::agent::is_running;
use crate::config::Config;
use crate::files;

/// Between two starts of a program that crashed.
const PAUSE: Duration = Duration::from_secs(1);

/// What `main` has to do.
#[derive(Debug)]
pub enum Start {
    /// Run the DTMA in this process.
    Here(Own),
    /// End: a program that was started in our place has ended.
    End(ExitCode),
}

/// Starts the program that is in charge. Returns when that is the one in this process, or when one
/// that was supervised has ended.
///
/// # Errors
/// When another DTMA runs, or what is on disk can't be read or written.
pub fn start(config: &Config, ambient: &Ambient) -> anyhow::Result<Start> {
    let own = Own::of_this_process();
    if own.program().is_some() {
        return Ok(Start::Here(own));
    }
    let directory = config.update_dir();
    if !directory.is_dir() {
        return Ok(Start::Here(own));
    }
    let launcher = Launcher {
        config,
        ambient,
        own,
        programs: Programs::new(&directory),
    };
    launcher.run()
}

struct Launcher<'a> {
    config: &'a Config,
    ambient: &'a Ambient,
    own: Own,
    programs: Programs,
}

impl Launcher<'_> {
    fn run(self) -> anyhow::Result<Start> {
        let directory = self.config.update_dir();
        loop {
            let state = State::load(&directory)?;
            match state.next() {
                Next::Installed => return Ok(Start::Here(self.own)),
                Next::Run(program) => {
                    self.become_program(program);
                    let mut state = state.clone();
                    state.leave_current();
                    state.save(&directory)?;
                }
                Next::Try(_) => {
                    let only_we = self.alone()?;
                    match self.try_it(state.clone()) {
                        Ok(Some(end)) => return Ok(Start::End(end)),
                        Ok(None) => {}
                        // A full disk, for example. The machine has to have a DTMA all the same.
                        Err(error) => {
                            tracing::error!(%error, "the new version can't be tried now");
                            drop(only_we);
                            if let Some(current) = state.current() {
                                self.become_program(current);
                            }
                            return Ok(Start::Here(self.own));
                        }
                    }
                }
            }
        }
    }

    /// Goes on as `program`. Returns if that is not possible.
    fn become_program(&self, program: &Program) {
        let path = self.programs.path(&program.sha256, DTMA);
        if self.programs.is_whole(&program.sha256) {
            let error = handover::command(&path, &program.sha256, false).exec();
            tracing::error!(%error, path = %path.display(), "can't be started");
        } else {
            tracing::error!(path = %path.display(), "its file is damaged");
        }
    }

    /// One start of the program on trial. `None` to decide anew what to start.
    fn try_it(&self, mut state: State) -> anyhow::Result<Option<ExitCode>> {
        let directory = self.config.update_dir();
        let Some(trial) = state.trial().cloned() else {
            return Ok(None);
        };
        let sha256 = &trial.program.sha256;
        let fault = if !self.programs.is_whole(sha256) {
            Some("its file is damaged")
        } else if !state.count_start() {
            Some("it was started several times and never got far enough to be heard")
        } else {
            None
        };
        if let Some(fault) = fault {
            self.fall_back(state, Fault::Crashed, fault.to_owned())?;
            return Ok(None);
        }
        state.save(&directory)?;
        tracing::info!(
            version = trial.program.version,
            sha256,
            "trying a new version"
        );
        let path = self.programs.path(sha256, DTMA);
        let supervisor = Supervisor {
            directory: &directory,
            sha256,
            limits: Limits::of(self.config),
        };
        let end = supervisor.run(handover::command(&path, sha256, true))?;
        // It may have been confirmed at the last moment.
        let mut state = State::load(&directory)?;
        let confirmed = !state.tries(sha256);
        match end {
            End::Itself(status) if status.code() == Some(START_AGAIN.into()) => Ok(None),
            End::Itself(status) | End::Asked(status) if confirmed => Ok(Some(exit_code(status))),
            _ if confirmed => Ok(None),
            End::Asked(status) => {
                state.uncount_start();
                state.save(&directory)?;
                Ok(Some(exit_code(status)))
            }
            // Somebody else told it to end. One that ends so by itself runs out of starts.
            End::Itself(status) if status.success() => Ok(Some(ExitCode::SUCCESS)),
            End::Itself(status) if state.has_starts_left() => {
                tracing::warn!(%status, "the new version ended; starting it again");
                std::thread::sleep(PAUSE);
                Ok(None)
            }
            End::Itself(status) => {
                self.fall_back(state, Fault::Crashed, format!("it ended with {status}"))?;
                Ok(None)
            }
            End::NotStarted(error) => {
                self.fall_back(
                    state,
                    Fault::Crashed,
                    format!("it can't be started: {error}"),
                )?;
                Ok(None)
            }
            End::Silent => {
                let limit = self.config.update_trial_seconds;
                let reason = format!("the control plane did not hear it within {limit} s");
                self.fall_back(state, Fault::Silent, reason)?;
                Ok(None)
            }
        }
    }

    fn fall_back(&self, mut state: State, fault: Fault, reason: String) -> anyhow::Result<()> {
        tracing::error!(
            reason,
            "the new version is no good: the one before takes over"
        );
        state.fall_back(fault, reason, Stamp::new(self.ambient));
        state.save(&self.config.update_dir())
    }

    /// Makes sure that neither a DTMA nor another launcher with a trial is at work here.
    fn alone(&self) -> anyhow::Result<Flock<File>> {
        let directory = self.config.update_dir();
        let path = directory.join("lock");
        let taken = || {
            let data_dir = self.config.data_dir.display();
            anyhow::anyhow!("another DTMA runs on {data_dir}: stop it first")
        };
        files::private_dir(&directory)?;
        let file =
            File::create(&path).with_context(|| format!("{} can't be opened", path.display()))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, _)| taken())?;
        anyhow::ensure!(!is_running(&self.config.data_dir)?, taken());
        Ok(lock)
    }
}

/// As shells have it: 128 and the signal's number.
fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
