//! Proof that no machine is lost: the product's own reconcilers, provider, listener and store, run
//! through schedules in which everything goes wrong that can, in one process and under virtual time.
//!
//! ```text
//! schedule, steps   what happens in a run: made from a seed, or one by one     run        one run, and its verdict
//! conductor, gate   whose turn it is, and who dies when                        checks     what has to hold
//!                                                                              firewalls  what is let in to machines
//! cloud, guest      DigitalOcean (the simulator) and the machines behind it    campaign   many runs
//! commands, tools   what machines are asked for, and what runs on them
//! replica, world    what of the product runs, and in what
//! ```
//!
//! What is real: the SQL on a SQLite file, leases, the queue, both plans, the DigitalOcean client with
//! its retries and budget, enrolment, certificates. What is not: sockets and TLS, `docker`, the tools.
//! The same seed gives the same run, to the last line of its trace: see [`conductor`] for how.

mod campaign;
mod checks;
mod cloud;
mod commands;
mod conductor;
mod dice;
mod exhaustive;
mod firewalls;
mod gate;
mod guest;
mod ledger;
mod people;
mod replica;
mod run;
mod schedule;
mod steps;
mod stranger;
mod template;
mod time;
mod tools;
mod trace;
mod world;

pub use campaign::{Campaign, Failure, Outcome};
pub use conductor::{Blow, Strike};
pub use exhaustive::Depth;
pub use run::{Verdict, WASTE, run};
pub use schedule::Schedule;
pub use steps::{SCENARIOS, Scenario};
pub use template::Template;
