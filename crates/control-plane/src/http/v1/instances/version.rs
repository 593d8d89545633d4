//! Newer versions of an instance, and the way to them and back (TOOL-4).

pub(super) mod check_updates;
pub(super) mod rollback;
pub(super) mod target;
pub(super) mod upgrade;

use agentopia_api::instance::Instance;
use agentopia_api::version::ChangeOptions;
use agentopia_domain::event::ObjectKind;
use agentopia_domain::instance::{self, DesiredInstance, InstanceStatus};
use agentopia_domain::versions::{ChangeKind, How, Release, Stage, VersionChange};
use agentopia_store::StoreError;
use axum::Json;
use chrono::TimeDelta;
use http::StatusCode;

use super::{check, shown};
use crate::http::extract::Call;
use crate::problem::{Answer, Refusal, kind};

/// Seconds that a new version may take to be ready.
const WITHIN: u32 = 300;
const WITHIN_RANGE: std::ops::RangeInclusive<u32> = 10..=3600;

/// Refuses what can't come to another version now.
fn may_change(found: &instance::Instance) -> Answer<()> {
    let refuse = |why: &str| Err(Refusal::new(kind::WRONG_STATE, why));
    if found.remote.is_some() {
        return refuse("a remote server is brought to other versions by whoever runs it");
    }
    if matches!(found.desired, DesiredInstance::Removed { .. }) {
        return refuse("it is being removed");
    }
    match &found.versions.change {
        None => Ok(()),
        Some(change) => refuse(&format!(
            "the {} to {} is under way; wait until it is over, or stop the tool to give it up",
            change.kind.word(),
            change.to.version
        )),
    }
}

/// Writes down that the instance is to come to another version.
async fn change(
    call: &Call,
    found: instance::Instance,
    kind_of: ChangeKind,
    to: Release,
    options: &ChangeOptions,
) -> Answer<(StatusCode, Json<Instance>)> {
    let within = options.within_seconds.unwrap_or(WITHIN);
    if !WITHIN_RANGE.contains(&within) {
        return Err(Refusal::field(
            "options.within_seconds",
            "use 10 to 3600 seconds",
        ));
    }
    let event = call.event(
        match kind_of {
            ChangeKind::Upgrade => "instance.upgrade_requested",
            ChangeKind::Rollback => "instance.rollback_requested",
        },
        (ObjectKind::Instance, found.id),
        format!(
            "{}: asked for the {} from {} to {}",
            found.name,
            kind_of.word(),
            found.version,
            to.version
        ),
    );
    let instances = call.store().instances();
    // Nothing serves that could be lost, or nothing can run beside it: its port is its place's.
    let runs = found.desired == DesiredInstance::Running && found.status != InstanceStatus::Asleep;
    let changed = if !runs || found.direct_access.is_some() {
        instances
            .replace_version(call.account(), &found, to, &[event])
            .await
    } else {
        let change = VersionChange {
            kind: kind_of,
            to,
            how: match options.recreate {
                true => How::Recreate,
                false => How::Beside,
            },
            stage: match options.recreate {
                true => Stage::Vacating,
                false => Stage::Starting,
            },
            accept_missing: options.accept_missing,
            deadline: call.state.ambient.now() + TimeDelta::seconds(i64::from(within)),
        };
        instances
            .begin_change(call.account(), found.id, change, check::fits, &[event])
            .await
    };
    let changed = match changed {
        Err(StoreError::Stale { .. }) => {
            return Err(Refusal::new(
                kind::WRONG_STATE,
                "it changed at this moment; look at it and ask again",
            ));
        }
        Err(StoreError::DoesNotFit(why)) => {
            return Err(Refusal::new(
                kind::DOES_NOT_FIT,
                format!(
                    "there is no room for the new version beside the old one: {why}; with `recreate` (--recreate) the old one is stopped first"
                ),
            ));
        }
        other => other?,
    };
    call.state.wake.instance(changed.id);
    Ok((StatusCode::ACCEPTED, Json(shown::one(call, changed).await?)))
}
