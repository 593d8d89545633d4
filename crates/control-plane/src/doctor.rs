//! Looks at one instance and says what keeps it from serving, and what to do (`agentopia tools doctor`).
//!
//! ```text
//! http/v1/instances/doctor    reads everything that is known of it   → Patient
//! checks                      judges one thing each, pure            → Check
//! words                       what its last lines mean, pure         → Meaning
//! ```
//!
//! Nothing is changed and nothing woken: a tool that is stopped or sleeps is not asked for an answer.

mod checks;
mod words;

use std::time::Duration;

use agentopia_domain::catalog::CatalogDefinition;
use agentopia_domain::environment::Environment;
use agentopia_domain::instance::Instance;
use agentopia_domain::verification::Check;

/// So many of the tool's last lines are looked at.
pub const LINES: u32 = 50;

/// All that is known of an instance.
#[derive(Debug)]
pub struct Patient {
    /// Its record.
    pub instance: Instance,
    /// What the catalog says of it.
    pub entry: CatalogDefinition,
    /// Its machine; `None` for a server that runs elsewhere.
    pub environment: Option<Environment>,
    /// Why its settings do not fit the catalog's schema, if they do not.
    pub settings_problem: Option<String>,
    /// Variables that secrets are named for which are not there any more.
    pub lost_secrets: Vec<String>,
    /// What its login at the server's service lacks, if it lacks something.
    pub login_problem: Option<String>,
    /// How many agents are linked with it, and how many of those links are switched on.
    pub links: (usize, usize),
    /// What it answered when it was asked for its tools, and how quickly; `None` where it was not asked.
    pub answer: Option<Result<(usize, Duration), String>>,
    /// The last that it wrote, oldest first, or why that can't be read.
    pub log: Result<Vec<String>, String>,
}

/// One item for each thing that was looked at, in the order in which things depend on each other.
#[must_use]
pub fn diagnose(patient: &Patient) -> Vec<Check> {
    let mut checks = vec![
        checks::machine(patient),
        checks::settings(patient),
        checks::secrets(patient),
    ];
    checks.extend(checks::login(patient));
    checks.push(checks::status(patient));
    checks.push(checks::answer(patient));
    checks.extend(checks::restarts(patient));
    checks.extend(checks::log(patient));
    checks.push(checks::version(patient));
    checks.push(checks::links(patient));
    checks
}

#[cfg(test)]
mod tests;
