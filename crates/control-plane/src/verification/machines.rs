//! Every environment's machine: whether its agent answers, what it runs, and its clock.

use std::time::Duration;

use agentopia_cloud::verification::CHECK_LIMIT;
use agentopia_domain::environment::{DesiredEnvironment, Environment, EnvironmentStatus};
use agentopia_domain::page::{MAX_LIMIT, PageRequest};
use agentopia_domain::verification::Check;
use agentopia_dtma_api::PROTOCOL;
use agentopia_dtma_api::to_control_plane::{DtmaOffer, MachineFacts};
use agentopia_dtma_api::to_dtma::Info;
use agentopia_store::StoreError;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use tokio::time::timeout;

use super::Verifier;
use crate::machines::listener::Downloads;
use crate::reconcilers::environment::plan::HEARTBEAT_LIMIT;

const MACHINE: &str = "machine";
const CONNECTION: &str = "machine.connection";
const VERSION: &str = "machine.version";
const HEARTBEAT: &str = "machine.heartbeat";
const CLOCK: &str = "machine.clock";
/// How many are looked at at the same time.
const AT_ONCE: usize = 64;
/// How far clocks may differ before people should know: logs and prices are told apart by them.
const CLOCK_WORTH_TELLING: TimeDelta = TimeDelta::seconds(10);
/// How far they may differ at all: new certificates begin five minutes before they are made.
const CLOCK_LIMIT: TimeDelta = TimeDelta::minutes(5);

impl Verifier {
    pub(super) async fn machines(&self) -> Vec<Check> {
        let environments = match self.environments().await {
            Ok(environments) => environments,
            Err(error) => {
                let text = format!("environments can't be read from the database: {error}");
                return vec![Check::failed(MACHINE, text)];
            }
        };
        if environments.is_empty() {
            return vec![Check::skipped(MACHINE, "no environment has a machine")];
        }
        let looks =
            futures::stream::iter(environments).map(|environment| self.machine(environment));
        looks.buffered(AT_ONCE).concat().await
    }

    /// Those that have a machine or want one.
    async fn environments(&self) -> Result<Vec<Environment>, StoreError> {
        let mut all = Vec::new();
        let mut page = PageRequest {
            after: None,
            limit: MAX_LIMIT,
        };
        loop {
            let found = self.store.environments().list_unscoped(page).await?;
            all.extend(found.items.into_iter().filter(|environment| {
                environment.desired == DesiredEnvironment::Enabled
                    || environment.status != EnvironmentStatus::Deleted
            }));
            page.after = found.next;
            if page.after.is_none() {
                return Ok(all);
            }
        }
    }

    async fn machine(&self, environment: Environment) -> Vec<Check> {
        let subject = environment.id.to_string();
        let checks = self.looks_of(&environment).await.into_iter();
        checks.map(|check| check.of(subject.as_str())).collect()
    }

    async fn looks_of(&self, environment: &Environment) -> Vec<Check> {
        if let Some(check) = without_machine(environment) {
            return vec![check];
        }
        let heartbeat = heartbeat(environment, self.ambient.now());
        let found = match timeout(CHECK_LIMIT, self.ask(environment)).await {
            Ok(found) => found,
            Err(_) => Err(format!("no answer in {} s", CHECK_LIMIT.as_secs())),
        };
        let offer = self.offer.as_ref().and_then(Downloads::offer);
        match found {
            Ok(answer) => vec![
                Check::ok(
                    CONNECTION,
                    format!(
                        "its agent answers, and runs tools with {}",
                        answer.info.machine.runtime
                    ),
                ),
                version(&answer.info, offer.as_ref()),
                heartbeat,
                clock(answer.difference),
            ],
            Err(problem) => vec![
                Check::failed(
                    CONNECTION,
                    format!(
                        "its agent can't be asked ({problem}): look whether the machine runs and \
                         whether port {} of it is open to the control plane; a machine that stays \
                         away is made anew by `agentopia env disable` and `enable` of its account",
                        environment.dtma_port.unwrap_or_default()
                    ),
                ),
                heartbeat,
            ],
        }
    }

    async fn ask(&self, environment: &Environment) -> Result<Answer, String> {
        let client = self.connections.of(environment).await;
        let client = client.map_err(|error| error.to_string())?;
        let before = self.ambient.now();
        let found = client.info_and_clock().await;
        let (info, clock) = found.map_err(|error| error.to_string())?;
        let after = self.ambient.now();
        Ok(Answer {
            info,
            difference: clock.map(|clock| difference(clock, before, after)),
        })
    }
}

/// What a machine said of itself.
struct Answer {
    info: Info,
    /// By how much its clock is ahead of ours, if it said what it shows.
    difference: Option<TimeDelta>,
}

/// What there is to say while there is no machine to be asked.
fn without_machine(environment: &Environment) -> Option<Check> {
    use EnvironmentStatus as S;
    let message = environment
        .error_message
        .as_deref()
        .unwrap_or("no reason is known");
    match environment.status {
        S::Active | S::Scaling | S::Unresponsive => None,
        S::PendingCreation | S::Creating => Some(Check::skipped(
            MACHINE,
            "it is being made; verify again in a few minutes",
        )),
        S::PendingDeletion | S::Deleting | S::Deleted => {
            Some(Check::skipped(MACHINE, "it is being taken down"))
        }
        S::ErrorCreation => Some(Check::failed(
            MACHINE,
            format!("it could not be made: {message}; then `agentopia env enable` tries again"),
        )),
        S::ErrorDeletion => Some(Check::failed(
            MACHINE,
            format!("it could not be taken down, and may still cost money: {message}"),
        )),
    }
}

fn heartbeat(environment: &Environment, now: DateTime<Utc>) -> Check {
    let Some(at) = environment.last_heartbeat_at else {
        return Check::failed(
            HEARTBEAT,
            "it was never heard; its first start may have failed",
        );
    };
    let age = (now - at).max(TimeDelta::zero());
    let heard = format!("it was last heard {} s ago", age.num_seconds());
    if age.to_std().is_ok_and(|age| age < HEARTBEAT_LIMIT) {
        return Check::ok(HEARTBEAT, heard);
    }
    Check::failed(
        HEARTBEAT,
        format!(
            "{heard}: look whether the machine reaches the control plane (see \
             control_plane.machine_address), and at the agent's log on it: journalctl -u \
             agentopia-dtma"
        ),
    )
}

/// Whether it runs the agent that it is to run.
fn version(info: &Info, offer: Option<&DtmaOffer>) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    let MachineFacts {
        dtma_version,
        dtma_sha256,
        ..
    } = &info.machine;
    if info.protocol != PROTOCOL {
        return Check::warning(
            VERSION,
            format!(
                "its agent {dtma_version} speaks version {} of the protocol, and we {PROTOCOL}: \
                 upgrade whichever is older",
                info.protocol
            ),
        );
    }
    match (offer, dtma_sha256) {
        (Some(offer), Some(runs)) if offer.dtma.sha256 != *runs => Check::warning(
            VERSION,
            format!(
                "its agent {dtma_version} is another build than the one that goes with this server \
                 ({own}); it updates itself within minutes, or the timeline of its account says \
                 why not"
            ),
        ),
        (_, None) if dtma_version != own => Check::warning(
            VERSION,
            format!(
                "its agent is {dtma_version}, this server is {own}, and it can't update itself: \
                 make the machine anew with an image of this version (`agentopia env disable` and \
                 `enable` of its account)"
            ),
        ),
        _ => Check::ok(VERSION, format!("its agent is {dtma_version}")),
    }
}

/// By how much the machine's clock is ahead, if it was read somewhere between two looks at ours and
/// shows whole seconds: what can be explained by that is no difference.
fn difference(clock: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) -> TimeDelta {
    let (earliest, latest) = (clock, clock + TimeDelta::seconds(1));
    if latest < before {
        latest - before
    } else if earliest > after {
        earliest - after
    } else {
        TimeDelta::zero()
    }
}

fn clock(difference: Option<TimeDelta>) -> Check {
    let Some(difference) = difference else {
        return Check::skipped(CLOCK, "its agent does not tell the time");
    };
    let amount = difference.abs();
    if amount < CLOCK_WORTH_TELLING {
        return Check::ok(
            CLOCK,
            "its clock shows the same time as the control plane's",
        );
    }
    let direction = if difference > TimeDelta::zero() {
        "ahead of"
    } else {
        "behind"
    };
    let text = format!(
        "its clock is {} {direction} the control plane's: set both by NTP (timedatectl)",
        humane(amount)
    );
    if amount < CLOCK_LIMIT {
        Check::warning(CLOCK, text)
    } else {
        Check::failed(
            CLOCK,
            format!("{text}; new certificates may not be valid there"),
        )
    }
}

fn humane(amount: TimeDelta) -> String {
    let amount = Duration::from_secs(amount.num_seconds().unsigned_abs());
    match amount.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
#[path = "machines_tests.rs"]
mod tests;
