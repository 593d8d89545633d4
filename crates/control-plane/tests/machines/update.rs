//! Who is offered another DTMA, and what the timeline tells of it (DTMA-8).

use agentopia_domain::event::{Event, Outcome};
use agentopia_dtma_api::to_control_plane::{DtmaOffer, Heartbeat, UpdateOutcome, UpdateReport};
use agentopia_store::{EventFilter, EventScope};
use sha2::{Digest as _, Sha256};

use crate::installation::{Installation, Machine, beat, program};

fn sha256(name: &str) -> String {
    hex::encode(Sha256::digest(program(name)))
}

async fn offered(at: &Installation, machine: &Machine, runs: Option<String>) -> Option<DtmaOffer> {
    let mut beat = beat();
    beat.machine.dtma_sha256 = runs;
    at.client(machine).heartbeat(&beat).await.unwrap().update
}

#[tokio::test]
async fn who_runs_another_program_is_offered_ours() {
    let at = Installation::start().await;
    let machine = at.machine("a@b.c").await;
    let offer = offered(&at, &machine, Some("another".to_owned())).await;
    let offer = offer.expect("an offer");
    assert_eq!(offer.dtma.sha256, sha256("dtma"));
    assert_eq!(offer.dtma.bytes, program("dtma").len() as u64);
    assert_eq!(offer.tool_init.unwrap().sha256, sha256("tool-init"));
    // The one that it has already, and one that can't say what it runs.
    for runs in [Some(sha256("dtma")), None] {
        assert_eq!(offered(&at, &machine, runs).await, None);
    }
}

#[tokio::test]
async fn the_timeline_tells_once_how_an_update_ended() {
    let at = Installation::start().await;
    let machine = at.machine("a@b.c").await;
    let report = |id: &str, outcome| Heartbeat {
        update: Some(UpdateReport {
            id: id.to_owned(),
            sha256: sha256("dtma"),
            from_version: "1.0.0".to_owned(),
            to_version: Some("1.1.0".to_owned()),
            outcome,
            reason: Some("it ended with exit status: 7".to_owned()),
        }),
        ..beat()
    };
    let client = at.client(&machine);
    for beat in [
        report("first", UpdateOutcome::Rejected),
        // The answer was lost.
        report("first", UpdateOutcome::Rejected),
        report("second", UpdateOutcome::Installed),
    ] {
        client.heartbeat(&beat).await.unwrap();
    }
    let events = timeline(&at, &machine).await;
    let told: Vec<_> = events.iter().map(|it| (it.outcome, &*it.message)).collect();
    let build = &sha256("dtma")[..8];
    let stays = format!(
        "The machine's management agent stays at 1.0.0: 1.1.0 (build {build}) did not work there \
         (it ended with exit status: 7)."
    );
    let updated =
        format!("The machine's management agent was updated from 1.0.0 to 1.1.0 (build {build}).");
    assert_eq!(
        told,
        [(Outcome::Failed, &*stays), (Outcome::Succeeded, &*updated)]
    );
}

async fn timeline(at: &Installation, machine: &Machine) -> Vec<Event> {
    let filter = EventFilter {
        kind_prefix: Some("environment.dtma_update".to_owned()),
        ..EventFilter::default()
    };
    let scope = EventScope::Account(machine.account);
    at.store
        .events()
        .after(scope, &filter, 0, 100)
        .await
        .unwrap()
}
