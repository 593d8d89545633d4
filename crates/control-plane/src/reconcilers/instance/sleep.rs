//! How falling asleep and waking read in the timeline, and waking itself (TOOL-9).

use std::time::Duration;

use agentopia_domain::event::{NewEvent, ObjectKind};
use agentopia_domain::idle::Spoken;
use agentopia_domain::instance::{Instance, InstanceStatus};
use agentopia_store::{Store, StoreError};

use crate::reconcilers::timeline::Change;

/// What the timeline says of an instance that nobody used for `idle`.
pub(super) fn fell_asleep(instance: &Instance, idle: Duration) -> NewEvent {
    let reason = format!("it fell asleep after {} without a call", Spoken(idle));
    change(
        instance,
        (InstanceStatus::Running, InstanceStatus::Asleep),
        &reason,
    )
}

/// Has an instance that is asleep started, with the reason for the timeline; `false` if it is not
/// asleep any more.
pub(crate) async fn wake(
    store: &Store,
    instance: &Instance,
    reason: &str,
) -> Result<bool, StoreError> {
    let steps = (InstanceStatus::Asleep, InstanceStatus::PendingStart);
    let event = change(instance, steps, reason);
    let woken = store
        .instances()
        .wake_unscoped(instance.id, &[event])
        .await?;
    Ok(woken.is_some())
}

fn change(
    instance: &Instance,
    (from, to): (InstanceStatus, InstanceStatus),
    reason: &str,
) -> NewEvent {
    let change = Change {
        account: instance.account_id,
        kind: "instance.status_changed",
        object: (ObjectKind::Instance, instance.id.as_uuid()),
        name: instance.name.as_str(),
        from,
        to,
        reason,
        error: None,
    };
    change.into_event()
}
