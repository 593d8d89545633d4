//! Which program counts: `update/state.json`, and every change that there is of it. Pure but for
//! [`State::load`] and [`State::save`].
//!
//! Launchers of earlier versions read and write this file too: fields are only ever added, and those
//! that a version does not know are kept.

use std::path::{Path, PathBuf};

use agentopia_domain::Ambient;
use agentopia_dtma_api::to_control_plane::{UpdateOutcome, UpdateReport};
use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use crate::files;

/// How often a program on trial is started before it is given up.
const STARTS: u32 = 3;
/// How many programs that were no good are remembered.
const REMEMBERED: usize = 16;
/// A program that was not heard may be innocent: the control plane may have been away just then. So
/// it gets so many trials ...
const SILENT_TRIALS: u32 = 3;
/// ... so far apart. One that crashed, or that the check refused, gets no other.
const SILENT_PAUSE: TimeDelta = TimeDelta::hours(6);

/// A DTMA below `programs/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Program {
    pub(super) sha256: String,
    pub(super) version: String,
}

/// A program that has still to show that it is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trial {
    pub(super) program: Program,
    /// The version that ran before.
    from_version: String,
    /// How often it was started.
    #[serde(default)]
    starts: u32,
}

/// Why a program was no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// It did not pass the check, so it was never put in charge.
    Refused,
    /// It ended by itself, again and again.
    Crashed,
    /// It ran, but was not heard.
    Silent,
    /// What a newer version knows.
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rejected {
    sha256: String,
    fault: Fault,
    times: u32,
    at: DateTime<Utc>,
}

/// What is on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    /// The program in charge; the installed one where there is none.
    #[serde(default)]
    current: Option<Program>,
    /// The one before it, in case the file of the current one is damaged.
    #[serde(default)]
    before: Option<Program>,
    #[serde(default)]
    trial: Option<Trial>,
    #[serde(default)]
    rejected: Vec<Rejected>,
    /// When the current one proved to be good.
    #[serde(default)]
    settled_at: Option<DateTime<Utc>>,
    /// What the control plane has not taken yet.
    #[serde(default, deserialize_with = "known")]
    report: Option<UpdateReport>,
    /// What a newer version wrote.
    #[serde(flatten)]
    other: serde_json::Map<String, serde_json::Value>,
}

/// What a launcher starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// The program that was installed.
    Installed,
    /// This one.
    Run(&'a Program),
    /// This one, as a child.
    Try(&'a Program),
}

/// Who and when: for reports.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    pub(super) id: String,
    pub(super) now: DateTime<Utc>,
}

impl Stamp {
    pub(super) fn new(ambient: &Ambient) -> Self {
        Self {
            id: hex::encode(ambient.random::<8>()),
            now: ambient.now(),
        }
    }
}

impl State {
    fn empty() -> Self {
        Self {
            format: 1,
            current: None,
            before: None,
            trial: None,
            rejected: Vec::new(),
            settled_at: None,
            report: None,
            other: serde_json::Map::new(),
        }
    }

    /// What is on disk. A file that is damaged counts as none: the installed program is still there.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn load(directory: &Path) -> anyhow::Result<Self> {
        let path = file(directory);
        let content =
            files::read(&path).with_context(|| format!("{} can't be read", path.display()))?;
        let Some(content) = content else {
            return Ok(Self::empty());
        };
        Ok(serde_json::from_slice(&content).unwrap_or_else(|error| {
            tracing::error!(path = %path.display(), %error, "damaged: the installed program runs");
            Self::empty()
        }))
    }

    /// # Errors
    /// When it can't be written; what was there before still counts then.
    pub(super) fn save(&self, directory: &Path) -> anyhow::Result<()> {
        let path = file(directory);
        let content = serde_json::to_vec_pretty(self)?;
        files::replace(&path, &content)
            .with_context(|| format!("{} can't be written", path.display()))
    }

    pub(super) fn next(&self) -> Next<'_> {
        match (&self.trial, &self.current) {
            (Some(trial), _) => Next::Try(&trial.program),
            (None, Some(current)) => Next::Run(current),
            (None, None) => Next::Installed,
        }
    }

    pub(super) fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()
    }

    pub(super) fn current(&self) -> Option<&Program> {
        self.current.as_ref()
    }

    pub(super) fn report(&self) -> Option<&UpdateReport> {
        self.report.as_ref()
    }

    /// Whether `sha256` is on trial.
    pub(super) fn tries(&self, sha256: &str) -> bool {
        self.trial
            .as_ref()
            .is_some_and(|trial| trial.program.sha256 == sha256)
    }

    /// The programs whose files are needed.
    pub(super) fn needed(&self) -> impl Iterator<Item = &str> {
        let trial = self.trial.as_ref().map(|trial| &trial.program);
        [self.current.as_ref(), self.before.as_ref(), trial]
            .into_iter()
            .flatten()
            .map(|program| program.sha256.as_str())
    }

    /// Whether a program that is offered is to be tried: it was not found to be no good, and the
    /// last change is `pause` ago. Replicas of two versions would otherwise have the machine change
    /// to and fro for as long as both run.
    pub(super) fn may_try(&self, sha256: &str, pause: TimeDelta, now: DateTime<Utc>) -> bool {
        // A clock that was set back must not hold anything up for longer than that.
        let over = |since: DateTime<Utc>, pause| now < since || now >= since + pause;
        if self.trial.is_some() || !self.settled_at.is_none_or(|at| over(at, pause)) {
            return false;
        }
        let found = self.rejected.iter().find(|one| one.sha256 == sha256);
        found.is_none_or(|one| match one.fault {
            Fault::Refused | Fault::Crashed | Fault::Other => false,
            Fault::Silent => one.times < SILENT_TRIALS && over(one.at, SILENT_PAUSE),
        })
    }

    /// Puts `program` on trial; `own`, which decides that, is what it falls back to.
    pub(super) fn begin(&mut self, own: Program, program: Program) {
        self.trial = Some(Trial {
            program,
            from_version: own.version.clone(),
            starts: 0,
        });
        self.current = Some(own);
        self.before = None;
    }

    /// The trial is about to be started; `false` if it was started often enough.
    pub(super) fn count_start(&mut self) -> bool {
        let Some(trial) = &mut self.trial else {
            return false;
        };
        if trial.starts >= STARTS {
            return false;
        }
        trial.starts += 1;
        true
    }

    /// It was ended by order: that says nothing of it.
    pub(super) fn uncount_start(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.starts = trial.starts.saturating_sub(1);
        }
    }

    /// Whether it may be started again.
    pub(super) fn has_starts_left(&self) -> bool {
        self.trial.as_ref().is_some_and(|it| it.starts < STARTS)
    }

    /// The program on trial is good.
    pub(super) fn confirm(&mut self, stamp: Stamp) {
        let Some(trial) = self.trial.take() else {
            return;
        };
        self.report = Some(UpdateReport {
            id: stamp.id,
            sha256: trial.program.sha256.clone(),
            from_version: trial.from_version,
            to_version: Some(trial.program.version.clone()),
            outcome: UpdateOutcome::Installed,
            reason: None,
        });
        self.rejected
            .retain(|one| one.sha256 != trial.program.sha256);
        self.before = self.current.replace(trial.program);
        self.settled_at = Some(stamp.now);
    }

    /// The program on trial is no good: the current one is back in charge.
    pub(super) fn fall_back(&mut self, fault: Fault, reason: String, stamp: Stamp) {
        if let Some(trial) = self.trial.take() {
            self.reject(&trial.from_version, &trial.program, fault, reason, stamp);
        }
    }

    /// A program is no good, and is remembered as such.
    pub(super) fn reject(
        &mut self,
        from_version: &str,
        program: &Program,
        fault: Fault,
        reason: String,
        stamp: Stamp,
    ) {
        let before = self
            .rejected
            .iter()
            .position(|one| one.sha256 == program.sha256);
        let times = before.map_or(0, |index| self.rejected.remove(index).times);
        self.rejected.push(Rejected {
            sha256: program.sha256.clone(),
            fault,
            times: times + 1,
            at: stamp.now,
        });
        let surplus = self.rejected.len().saturating_sub(REMEMBERED);
        self.rejected.drain(..surplus);
        self.report = Some(UpdateReport {
            id: stamp.id,
            sha256: program.sha256.clone(),
            from_version: from_version.to_owned(),
            to_version: Some(program.version.clone()).filter(|version| !version.is_empty()),
            outcome: UpdateOutcome::Rejected,
            reason: Some(reason),
        });
    }

    /// A program could not be fetched.
    pub(super) fn postpone(&mut self, report: UpdateReport) {
        self.report = Some(report);
    }

    /// The control plane has taken this report.
    pub(super) fn reported(&mut self, id: &str) {
        self.report.take_if(|report| report.id == id);
    }

    /// The file of the current program is damaged: the one before it, or else the installed one.
    pub(super) fn leave_current(&mut self) {
        self.current = self.before.take();
    }
}

/// A report of a newer version may have what we don't know: then it is none to us.
fn known<'de, D: Deserializer<'de>>(from: D) -> Result<Option<UpdateReport>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

fn file(directory: &Path) -> PathBuf {
    directory.join("state.json")
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
