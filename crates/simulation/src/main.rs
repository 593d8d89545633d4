//! `agentopia-simulation`: what `script/test sim`, `script/bench sim` and `script/bench planted` run.

use std::process::ExitCode;
use std::time::Instant;

use agentopia_simulation::{
    Campaign, Depth, Failure, Outcome, Scenario, Schedule, Strike, Template, Verdict, run,
};
use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Runs reconcilers through schedules full of faults, under virtual time.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every step with every fault, and pairs of such.
    Exhaustive {
        /// Of so many pairs one is run; 0 for none at all.
        #[arg(long, default_value_t = 1)]
        one_in: u64,
        #[command(flatten)]
        how: How,
    },
    /// Schedules at random.
    Random {
        /// How many.
        #[arg(long, default_value_t = 2000)]
        schedules: u64,
        /// The seed of the first; the others follow it. By chance unless given.
        #[arg(long, env = "AGENTOPIA_SIM_SEED")]
        seed: Option<u64>,
        #[command(flatten)]
        how: How,
    },
    /// One schedule at random again, with all that happens in it.
    Replay {
        /// Its seed.
        seed: u64,
    },
    /// One schedule of a scenario again, with all that happens in it.
    Step {
        /// The scenario.
        scenario: String,
        /// The faults, as in 12:CrashAfter.
        faults: Vec<Strike>,
    },
}

#[derive(Debug, Args)]
struct How {
    /// How many run at a time; by default one for each processor.
    #[arg(long)]
    jobs: Option<usize>,
    /// After how many failures to stop.
    #[arg(long, default_value_t = 5)]
    failures: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    let arguments = Arguments::parse();
    let (template, begin) = (Template::make()?, Instant::now());
    match arguments.command {
        Command::Exhaustive { one_in, how } => {
            let depth = match one_in {
                0 => Depth::Singles,
                some => Depth::Pairs(some),
            };
            let outcome = how
                .campaign(&template)
                .exhaust(depth, |line| print(&line))?;
            Ok(report(&outcome, "exhaustive", begin))
        }
        Command::Random {
            schedules,
            seed,
            how,
        } => {
            let seed = seed.unwrap_or_else(some_seed);
            let outcome = how.campaign(&template).run(
                schedules,
                |number| {
                    let seed = seed.wrapping_add(number);
                    (Schedule::random(seed), format!("replay {seed}"))
                },
                |_, _| {},
            )?;
            Ok(report(&outcome, &format!("seed {seed}"), begin))
        }
        Command::Replay { seed } => show(&template, &Schedule::random(seed)),
        Command::Step { scenario, faults } => {
            let found = Scenario::find(&scenario);
            let found = found.with_context(|| format!("there is no scenario {scenario:?}"))?;
            show(&template, &found.schedule(faults))
        }
    }
}

impl How {
    fn campaign<'t>(&self, template: &'t Template) -> Campaign<'t> {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        Campaign {
            template,
            jobs: self.jobs.unwrap_or_else(processors),
            most_failures: self.failures,
            tell: &tell,
        }
    }
}

fn show(template: &Template, schedule: &Schedule) -> anyhow::Result<ExitCode> {
    print(&format!("{schedule:#?}"));
    let Verdict {
        wrong,
        trace,
        hash,
        lasted,
        ..
    } = run(template, schedule, "one")?;
    trace.iter().for_each(|line| print(line));
    wrong
        .iter()
        .for_each(|line| print(&format!("WRONG: {line}")));
    print(&format!(
        "{:.0} s of virtual time, hash {hash}",
        lasted.as_secs_f64()
    ));
    Ok(exit(wrong.is_empty()))
}

fn tell(failure: &Failure) {
    for wrong in &failure.wrong {
        print(&format!("WRONG: {wrong}"));
    }
    print(&format!("  again: script/bench sim {}", failure.replay));
}

fn report(outcome: &Outcome, what: &str, begin: Instant) -> ExitCode {
    print(&format!(
        "{} schedules, {what}: {} failed; {:.0} h of virtual time in {:.0} s",
        outcome.schedules,
        outcome.failures.len(),
        outcome.lasted.as_secs_f64() / 3600.0,
        begin.elapsed().as_secs_f64(),
    ));
    exit(outcome.failures.is_empty())
}

fn exit(good: bool) -> ExitCode {
    match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Small enough to be read out.
fn some_seed() -> u64 {
    u64::from(u32::from_le_bytes(
        agentopia_domain::Ambient::system().random(),
    ))
}

#[expect(clippy::print_stdout, reason = "the program's answer")]
fn print(line: &str) {
    println!("{line}");
}
