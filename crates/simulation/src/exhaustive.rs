//! Runs the schedules of [`steps`](crate::steps): each scenario without a fault, with every one, and
//! with every pair.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::campaign::{Campaign, Outcome};
use crate::conductor::{Effect, Strike};
use crate::run::run;
use crate::steps::{SCENARIOS, Scenario, describe, next_strikes};

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// One fault at a time.
    Singles,
    /// Pairs as well, of which one in so many: 1 for all.
    Pairs(u64),
}

impl Campaign<'_> {
    /// Runs them all; tells what it does by `say`.
    ///
    /// # Errors
    /// When a schedule could not be run at all.
    pub fn exhaust(&self, depth: Depth, say: impl Fn(String)) -> anyhow::Result<Outcome> {
        let mut all = Outcome::default();
        for scenario in SCENARIOS {
            let base = run(self.template, &scenario.schedule(Vec::new()), "base")?;
            anyhow::ensure!(
                base.wrong.is_empty(),
                "{} goes wrong without any fault: {:?}",
                scenario.name,
                base.wrong
            );
            let singles: Vec<Vec<Strike>> = next_strikes(&base.effects, &[])
                .into_iter()
                .map(|strike| vec![strike])
                .collect();
            let effects: Mutex<BTreeMap<u64, Vec<Effect>>> = Mutex::default();
            let found = |number, found| {
                effects.lock().insert(number, found);
            };
            let outcome = self.strike(&scenario, &singles, found)?;
            let mut count = format!("{}: {} single faults", scenario.name, singles.len());
            all.add(outcome);
            if let Depth::Pairs(one_in) = depth {
                let effects = effects.into_inner();
                let pairs = singles
                    .iter()
                    .zip(effects.values())
                    .flat_map(|(first, effects)| {
                        let second = next_strikes(effects, first).into_iter();
                        second.map(|second| vec![first[0], second])
                    });
                let step = usize::try_from(one_in.max(1)).unwrap_or(usize::MAX);
                let pairs: Vec<Vec<Strike>> = pairs.step_by(step).collect();
                count.push_str(&format!(", {} pairs", pairs.len()));
                all.add(self.strike(&scenario, &pairs, |_, _| {})?);
            }
            say(count);
            if all.failures.len() >= self.most_failures {
                break;
            }
        }
        Ok(all)
    }

    fn strike(
        &self,
        scenario: &Scenario,
        faults: &[Vec<Strike>],
        found: impl Fn(u64, Vec<Effect>) + Sync,
    ) -> anyhow::Result<Outcome> {
        let at = |number: u64| &faults[usize::try_from(number).unwrap_or(usize::MAX)];
        self.run(
            faults.len() as u64,
            |number| {
                let strikes = at(number).clone();
                let words: Vec<String> = strikes.iter().map(ToString::to_string).collect();
                let replay = format!("step {:?} {}", scenario.name, words.join(" "));
                (scenario.schedule(strikes), replay)
            },
            |number, verdict| {
                if !verdict.wrong.is_empty() {
                    let strikes = at(number).iter();
                    let words: Vec<_> = strikes
                        .map(|one| describe(&verdict.effects, *one))
                        .collect();
                    tracing::warn!(
                        scenario = scenario.name,
                        faults = words.join("; "),
                        "went wrong"
                    );
                }
                found(number, verdict.effects.clone());
            },
        )
    }
}
