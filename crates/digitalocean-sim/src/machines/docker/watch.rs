//! Machines that go off without having been told to: the engine's events say so. A machine that restarts
//! from inside ends too, and is started again here; any other is reported.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures::StreamExt as _;

use super::body::{LABEL_DROPLET, LABEL_SUBNET};
use super::roster::Power;
use super::shared::Shared;
use crate::state::DropletId;

/// What systemd ends with when it is asked for a reboot inside a container (SIGHUP); a halt or a power
/// off is 130 (SIGINT), and a machine that was killed is 137.
const REBOOT: i64 = 129;
/// How often all machines are looked at: who ends while nobody follows the events is told to nobody.
const ROUND: Duration = Duration::from_secs(5);
/// Before an engine that went away is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What to do about a machine that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It was told to, or it is on again already.
    Expected,
    /// It restarts.
    StartAgain,
    /// It went off.
    Report,
}

const fn verdict(power: Option<Power>, is_running: bool, exit_code: i64) -> Verdict {
    match power {
        None | Some(Power::Off) => Verdict::Expected,
        Some(Power::On) if is_running => Verdict::Expected,
        Some(Power::On) if exit_code == REBOOT => Verdict::StartAgain,
        Some(Power::On) => Verdict::Report,
    }
}

/// Follows the engine's events until it is dropped.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut rounds = tokio::time::interval(ROUND);
    loop {
        let mut events = std::pin::pin!(shared.docker.events(Some(options(&shared))));
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        if let Some(droplet) = droplet(&event) {
                            look(&shared, droplet).await;
                        }
                    }
                    Some(Err(_)) | None => break,
                },
                _ = rounds.tick() => {
                    for droplet in shared.roster.all() {
                        look(&shared, droplet).await;
                    }
                }
            }
        }
        tracing::warn!("the Docker Engine's events ended; asking for them again");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks at a machine and does what is to be done. Whatever an event said is old by now.
async fn look(shared: &Shared, droplet: DropletId) {
    let Some(state) = shared.state_of(droplet).await else {
        return;
    };
    let power = shared.roster.get(droplet).ok().map(|machine| machine.power);
    match verdict(power, state.is_running, state.exit_code) {
        Verdict::Expected => {}
        Verdict::StartAgain => {
            tracing::info!(%droplet, "the machine restarts");
            if let Err(error) = shared.start(droplet).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%droplet, error, "a machine did not restart");
                shared.report_stopped(droplet);
            }
        }
        Verdict::Report => {
            tracing::info!(%droplet, exit_code = state.exit_code, "the machine went off");
            shared.report_stopped(droplet);
        }
    }
}

fn options(shared: &Shared) -> EventsOptions {
    let label = format!("{LABEL_SUBNET}={}", shared.addresses.subnet());
    EventsOptions {
        filters: Some(HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("event".to_owned(), vec!["die".to_owned()]),
            ("label".to_owned(), vec![label]),
        ])),
        ..EventsOptions::default()
    }
}

fn droplet(event: &EventMessage) -> Option<DropletId> {
    let attributes = event.actor.as_ref()?.attributes.as_ref()?;
    attributes.get(LABEL_DROPLET)?.parse().ok().map(DropletId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_machine_that_should_be_on_is_missed() {
        let on = Some(Power::On);
        assert_eq!(verdict(on, false, REBOOT), Verdict::StartAgain);
        assert_eq!(
            verdict(on, false, 130),
            Verdict::Report,
            "powered off from inside"
        );
        assert_eq!(verdict(on, false, 137), Verdict::Report, "killed");
        assert_eq!(verdict(on, true, 137), Verdict::Expected, "an old event");
        assert_eq!(verdict(Some(Power::Off), false, 137), Verdict::Expected);
        assert_eq!(verdict(None, false, 137), Verdict::Expected, "destroyed");
    }
}
