//! A program on trial, as a child: until it is confirmed, ends, or its time is over.
//!
//! The parent does nothing but watch, so that it can't fail with its child; it stays for as long as
//! a child that proved to be good lives, which is until the machine or the service is started anew.
#![expect(
    unsafe_code,
    reason = "pre_exec is the only way to have the child die with the launcher"
)]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use super::state::State;
use crate::config::Config;

/// How often the launcher looks whether the trial is confirmed.
const LOOK: Duration = Duration::from_millis(250);
/// How long one that was not heard may take to end.
const GRACE: Duration = Duration::from_secs(15);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Until it is confirmed.
    trial: Duration,
}

impl Limits {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            trial: Duration::from_secs(config.update_trial_seconds),
        }
    }
}

/// How a child ended.
#[derive(Debug)]
pub(super) enum End {
    /// We were told to end, and told it.
    Asked(ExitStatus),
    /// By itself.
    Itself(ExitStatus),
    /// Its time was over, and we ended it.
    Silent,
    /// It did not even begin.
    NotStarted(io::Error),
}

/// Sees one start of a program through.
#[derive(Debug)]
pub(super) struct Supervisor<'a> {
    pub(super) directory: &'a Path,
    pub(super) sha256: &'a str,
    pub(super) limits: Limits,
}

impl Supervisor<'_> {
    /// Starts `command` and waits for its end.
    ///
    /// # Errors
    /// When it can't be watched; it does not run then.
    pub(super) fn run(&self, command: Command) -> anyhow::Result<End> {
        // One thread: the child is told of the death of the thread that started it.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the new version can't be watched")?;
        runtime.block_on(self.watch(command))
    }

    async fn watch(&self, mut command: Command) -> anyhow::Result<End> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        command.stdin(Stdio::null());
        die_with_us(&mut command);
        let mut child = match tokio::process::Command::from(command).spawn() {
            Ok(child) => child,
            Err(error) => return Ok(End::NotStarted(error)),
        };
        let over = Instant::now() + self.limits.trial;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut confirmed, mut asked) = (false, false);
        loop {
            tokio::select! {
                status = child.wait() => {
                    let status = status.context("the new version can't be watched")?;
                    return Ok(if asked { End::Asked(status) } else { End::Itself(status) });
                }
                _ = terminate.recv() => { asked = true; tell(&child, Signal::SIGTERM); }
                _ = interrupt.recv() => { asked = true; tell(&child, Signal::SIGINT); }
                _ = looks.tick(), if !confirmed => {
                    confirmed = State::load(self.directory).is_ok_and(|it| !it.tries(self.sha256));
                }
                () = sleep_until(over), if !confirmed && !asked => {
                    tell(&child, Signal::SIGTERM);
                    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                        child.kill().await.context("the new version can't be ended")?;
                    }
                    return Ok(End::Silent);
                }
            }
        }
    }
}

fn tell(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // It may have ended just now.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// A launcher that is killed must not leave a program behind that nobody watches.
fn die_with_us(command: &mut Command) {
    let parent = Pid::this();
    let setup = move || -> io::Result<()> {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The launcher may have died before the line above.
        if getppid() != parent {
            return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: `setup` makes system calls only. It captures a number by value, allocates nothing,
    // takes no lock, and its error is a plain number.
    unsafe {
        command.pre_exec(setup);
    }
}
