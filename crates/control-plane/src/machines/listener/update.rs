//! The DTMA's self-update, as seen from here (DTMA-8): who is offered one, and what became of it, for
//! the account's timeline.

use agentopia_domain::event::{Actor, NewEvent, ObjectKind, Outcome};
use agentopia_dtma_api::to_control_plane::{DtmaOffer, MachineFacts, UpdateOutcome, UpdateReport};
use agentopia_store::{DtmaCredential, EventFilter, EventScope, Store, StoreError};
use serde_json::json;

/// The kind of the event.
const KIND: &str = "environment.dtma_update";
/// The most characters of what a machine says that are kept.
const MAX_REASON: usize = 600;
const MAX_WORD: usize = 64;
/// How many digits of a digest people are shown.
const BUILD: usize = 8;

/// What a machine is offered: whatever it does not run already. One that can't say what it runs
/// can't be updated by us.
pub(super) fn offer_to(machine: &MachineFacts, offer: Option<&DtmaOffer>) -> Option<DtmaOffer> {
    let own = machine.dtma_sha256.as_ref()?;
    offer.filter(|offer| offer.dtma.sha256 != *own).cloned()
}

/// Writes down what became of an update. The same report may come again, if our answer was lost.
pub(super) async fn record(
    store: &Store,
    machine: &DtmaCredential,
    report: &UpdateReport,
) -> Result<(), StoreError> {
    let object = (ObjectKind::Environment, machine.environment_id.as_uuid());
    let id = words(&report.id, MAX_WORD);
    let filter = EventFilter {
        kind_prefix: Some(KIND.to_owned()),
        object_kind: Some(object.0),
        object_id: Some(object.1),
    };
    let scope = EventScope::Account(machine.account_id);
    let last = store.events().list(scope, &filter, None, 1).await?;
    if last
        .items
        .first()
        .is_some_and(|event| event.data["report"] == id)
    {
        return Ok(());
    }
    let event = NewEvent::system(machine.account_id, KIND, object, sentence(report))
        .by(Actor::Dtma(machine.environment_id))
        .data(json!({
            "report": id,
            "outcome": report.outcome,
            "sha256": words(&report.sha256, MAX_WORD),
            "from_version": words(&report.from_version, MAX_WORD),
            "to_version": report.to_version.as_deref().map(|to| words(to, MAX_WORD)),
            "reason": report.reason.as_deref().map(|reason| words(reason, MAX_REASON)),
        }));
    let event = match report.outcome {
        UpdateOutcome::Installed => event,
        UpdateOutcome::Rejected | UpdateOutcome::Postponed => event.outcome(Outcome::Failed),
    };
    store.events().append(&[event]).await
}

fn sentence(report: &UpdateReport) -> String {
    let build: String = words(&report.sha256, MAX_WORD)
        .chars()
        .take(BUILD)
        .collect();
    let to = report.to_version.as_deref().unwrap_or("another version");
    let to = format!("{} (build {build})", words(to, MAX_WORD));
    let from = words(&report.from_version, MAX_WORD);
    let reason = words(
        report.reason.as_deref().unwrap_or("no reason given"),
        MAX_REASON,
    );
    match report.outcome {
        UpdateOutcome::Installed => {
            format!("The machine's management agent was updated from {from} to {to}.")
        }
        UpdateOutcome::Rejected => format!(
            "The machine's management agent stays at {from}: {to} did not work there ({reason})."
        ),
        UpdateOutcome::Postponed => format!(
            "The machine's management agent stays at {from} for now: {to} could not be fetched \
             ({reason}). It is tried again."
        ),
    }
}

/// What a machine said, without what would garble a terminal or a table.
fn words(text: &str, most: usize) -> String {
    let plain = text.chars().filter(|char| !char.is_control());
    plain.take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcome: UpdateOutcome) -> UpdateReport {
        UpdateReport {
            id: "1".to_owned(),
            sha256: "0123456789abcdef".to_owned(),
            from_version: "1.2.3".to_owned(),
            to_version: Some("1.3.0\u{1b}[31m".to_owned()),
            outcome,
            reason: Some("it ended\nwith exit status: 7".to_owned()),
        }
    }

    #[test]
    fn people_read_what_happened_and_what_happens_next() {
        let said = |outcome| sentence(&report(outcome));
        assert_eq!(
            said(UpdateOutcome::Installed),
            "The machine's management agent was updated from 1.2.3 to 1.3.0[31m (build 01234567)."
        );
        let rejected = said(UpdateOutcome::Rejected);
        assert!(rejected.contains("stays at 1.2.3: 1.3.0"), "{rejected}");
        assert!(
            rejected.contains("it endedwith exit status: 7"),
            "{rejected}"
        );
        assert!(said(UpdateOutcome::Postponed).ends_with("It is tried again."));
    }
}
