//! Many schedules, on as many threads as there are processors.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::run::{Verdict, run};
use crate::schedule::Schedule;
use crate::template::Template;

/// A schedule in which something was wrong.
#[derive(Debug)]
pub struct Failure {
    /// How to have it again, as arguments of the program.
    pub replay: String,
    /// What was wrong.
    pub wrong: Vec<String>,
}

/// Runs schedules and collects failures.
pub struct Campaign<'a> {
    /// What all begin with.
    pub template: &'a Template,
    /// How many run at a time.
    pub jobs: usize,
    /// After how many failures to stop.
    pub most_failures: usize,
    /// Is told of each failure at once.
    pub tell: &'a (dyn Fn(&Failure) + Sync),
}

impl fmt::Debug for Campaign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Campaign").finish_non_exhaustive()
    }
}

/// What became of all.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many ran to their end.
    pub schedules: u64,
    /// How much virtual time they had in all.
    pub lasted: Duration,
    /// Those in which something was wrong.
    pub failures: Vec<Failure>,
}

impl Outcome {
    /// Both together.
    pub(crate) fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.lasted += other.lasted;
        self.failures.extend(other.failures);
    }
}

impl Campaign<'_> {
    /// Runs `count` schedules; `make` gives the one with a number, and how to have it again; `done`
    /// is shown what became of each.
    ///
    /// # Errors
    /// When one could not be run at all.
    pub fn run(
        &self,
        count: u64,
        make: impl Fn(u64) -> (Schedule, String) + Sync,
        done: impl Fn(u64, &Verdict) + Sync,
    ) -> anyhow::Result<Outcome> {
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let outcome = Mutex::new(Outcome::default());
        let work = &|| -> anyhow::Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count || stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let (schedule, replay) = make(number);
                let verdict = run(self.template, &schedule, &format!("schedule-{number}"));
                let verdict = verdict.inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                done(number, &verdict);
                let mut outcome = outcome.lock();
                outcome.schedules += 1;
                outcome.lasted += verdict.lasted;
                if !verdict.wrong.is_empty() {
                    let wrong = verdict.wrong;
                    let failure = Failure { replay, wrong };
                    (self.tell)(&failure);
                    outcome.failures.push(failure);
                    if outcome.failures.len() >= self.most_failures {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let worker = |number| {
                scope.spawn(move || {
                    stay_on_one_processor(number);
                    work()
                })
            };
            let workers: Vec<_> = (0..self.jobs).map(worker).collect();
            workers.into_iter().try_for_each(|worker| {
                let panicked = |_| anyhow::anyhow!("a schedule panicked; see above");
                worker.join().map_err(panicked)?
            })
        })?;
        Ok(outcome.into_inner())
    }
}

/// Keeps this thread, and those that it starts from now on, on one processor. A schedule's thread and
/// that of its database take turns: each waking the other on another processor takes twice as long.
fn stay_on_one_processor(number: usize) {
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let mut processors = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor));
    let count = usize::try_from(allowed.count()).unwrap_or(1).max(1);
    if let Some(processor) = processors.nth(number % count) {
        let mut only = CpuSet::new();
        only.set(processor);
        // Where it can't be done it only takes longer.
        let _slower = sched_setaffinity(None, &only);
    }
}
