//! A running copy of a catalog entry: its record and its state machine (TOOL-3).

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::direct_access::DirectAccess;
use crate::egress::Egress;
use crate::idle::Idle;
use crate::ids::{AccountId, CatalogEntryId, EnvironmentId, InstanceId, SecretId};
use crate::name::Name;
use crate::remote::RemoteServer;
use crate::resources::Resources;
use crate::versions::Versions;

/// What the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DesiredInstance {
    /// Serve.
    Running,
    /// Keep everything, run nothing.
    Stopped,
    /// Take it away.
    Removed {
        /// Whether its data goes too.
        purge_data: bool,
    },
}

/// The status of an instance (TOOL-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceStatus {
    /// Wanted; its machine does not know yet.
    PendingStart,
    /// Being pulled, made or waited for.
    Starting,
    /// Answers MCP.
    Running,
    /// Being stopped.
    Stopping,
    /// Stopped because its owner said so.
    Stopped,
    /// Stopped because nobody used it; the next call starts it (TOOL-9).
    Asleep,
    /// Can't run; the error says why.
    ErrorRuntime,
    /// Being taken away.
    PendingRemoval,
    /// Gone.
    Removed,
}

/// What can happen to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceEvent {
    /// The owner wants it to run, or to run with other settings.
    StartRequested,
    /// Its machine began.
    StartBegun,
    /// It answers MCP.
    Healthy,
    /// It can't run, or stopped running and does not come back.
    Failed,
    /// It went away and is being started again.
    Crashed,
    /// The owner wants it stopped.
    StopRequested,
    /// It is stopped.
    StopFinished,
    /// Nobody used it for its idle time.
    FellAsleep,
    /// The owner wants it gone.
    RemoveRequested,
    /// It is gone.
    RemoveFinished,
}

/// An event that can't happen in a status: the caller decided on stale knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an instance that is {from:?} can't take the event {event:?}")]
pub struct InvalidInstanceTransition {
    /// The status it has.
    pub from: InstanceStatus,
    /// The event that does not fit.
    pub event: InstanceEvent,
}

impl InstanceStatus {
    /// Every status, for tests and documentation.
    pub const ALL: [Self; 9] = [
        Self::PendingStart,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::Asleep,
        Self::ErrorRuntime,
        Self::PendingRemoval,
        Self::Removed,
    ];

    /// The only way from one status to the next.
    ///
    /// # Errors
    /// When `event` has no meaning in this status.
    pub fn on(self, event: InstanceEvent) -> Result<Self, InvalidInstanceTransition> {
        use InstanceEvent as E;
        use InstanceStatus as S;
        let next = match (self, event) {
            (
                S::PendingStart
                | S::Starting
                | S::Running
                | S::Stopping
                | S::Stopped
                | S::Asleep
                | S::ErrorRuntime,
                E::StartRequested,
            ) => S::PendingStart,
            (S::PendingStart | S::ErrorRuntime, E::StartBegun) => S::Starting,
            (S::PendingStart | S::Starting | S::ErrorRuntime, E::Healthy) => S::Running,
            (S::PendingStart | S::Starting | S::Running, E::Failed) => S::ErrorRuntime,
            (S::Running, E::Crashed) => S::Starting,
            (
                S::PendingStart | S::Starting | S::Running | S::Asleep | S::ErrorRuntime,
                E::StopRequested,
            ) => S::Stopping,
            (S::Stopping, E::StopFinished) => S::Stopped,
            (S::Running, E::FellAsleep) => S::Asleep,
            (
                S::PendingStart
                | S::Starting
                | S::Running
                | S::Stopping
                | S::Stopped
                | S::Asleep
                | S::ErrorRuntime,
                E::RemoveRequested,
            ) => S::PendingRemoval,
            (S::PendingRemoval, E::RemoveFinished) => S::Removed,
            (from, event) => return Err(InvalidInstanceTransition { from, event }),
        };
        Ok(next)
    }
}

/// Where and as what an instance runs, as its machine reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RuntimeDetails {
    /// The port on the machine that was allocated to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The container's id, or `process:<pid>` where there is no Docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// The path on the DTMA at which it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The digest of the image that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// How often it was started again after a crash since its last change.
    #[serde(default)]
    pub restarts: u32,
}

/// The record of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Whose it is.
    pub account_id: AccountId,
    /// The machine it runs on.
    pub environment_id: EnvironmentId,
    /// The blueprint.
    pub catalog_entry_id: CatalogEntryId,
    /// The friendly name; unique among the account's instances that are not removed.
    pub name: Name,
    /// The version to run.
    pub version: String,
    /// The version actually running.
    pub running_version: Option<String>,
    /// The version before, and a change of version that is under way.
    pub versions: Versions,
    /// What the owner set, checked against the catalog's schema.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// For each of the catalog's secrets, the value in the vault that fills it.
    pub secrets: BTreeMap<String, SecretId>,
    /// Limits, fixed when it was deployed.
    pub resources: Resources,
    /// From where its port may be reached directly, if it has such a port (TOOL-11).
    pub direct_access: Option<DirectAccess>,
    /// Where it may go to, as it was decided when it was deployed or changed since (DTMA-4).
    pub egress: Egress,
    /// Where the server is, if it runs elsewhere: then no machine has to do with it.
    pub remote: Option<RemoteServer>,
    /// After how long without use it is stopped until the next call.
    pub idle: Idle,
    /// When it was last used or started, give or take some seconds; `None` before.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Since when it is asleep, if it is.
    pub asleep_since: Option<DateTime<Utc>>,
    /// What the owner wants.
    pub desired: DesiredInstance,
    /// Grows with every change of what is wanted.
    pub generation: i64,
    /// Grows with every restart that was asked for.
    pub restart_nonce: i64,
    /// The generation that its machine last reported as done.
    pub observed_generation: i64,
    /// Where it stands.
    pub status: InstanceStatus,
    /// What the machine is doing right now, for people who watch (`pulling image`, …).
    pub progress: Option<String>,
    /// What went wrong last, for people.
    pub error_message: Option<String>,
    /// Where and as what it runs.
    pub runtime: RuntimeDetails,
    /// When it was deployed.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Instance {
    /// After how long without use it is stopped; `None` if never. One that is reached directly never
    /// is: nobody sees who uses it, and nobody could wake it. Nor is one that runs elsewhere, which is
    /// not ours to stop.
    #[must_use]
    pub fn idle_limit(&self) -> Option<Duration> {
        match (&self.direct_access, &self.remote) {
            // Nor one whose version is being changed: both are needed awake.
            (None, None) if self.versions.change.is_none() => self.idle.limit(),
            _ => None,
        }
    }

    /// The id under which its machine knows what serves.
    #[must_use]
    pub fn on_machine(&self) -> InstanceId {
        self.versions.serving.on_machine(self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::InstanceEvent as E;
    use super::InstanceStatus as S;

    #[test]
    fn a_life_with_a_crash_a_stop_and_an_end() {
        let events = [
            E::StartBegun,
            E::Healthy,
            E::Crashed,
            E::Healthy,
            E::StopRequested,
            E::StopFinished,
            E::StartRequested,
            E::StartBegun,
            E::Failed,
            E::Healthy,
            E::RemoveRequested,
            E::RemoveFinished,
        ];
        let end = events
            .iter()
            .fold(S::PendingStart, |status, event| status.on(*event).unwrap());
        assert_eq!(end, S::Removed);
    }

    #[test]
    fn only_what_runs_falls_asleep_and_everything_but_a_call_is_heard_asleep() {
        for status in S::ALL {
            assert_eq!(status.on(E::FellAsleep).is_ok(), status == S::Running);
        }
        assert_eq!(S::Asleep.on(E::StartRequested), Ok(S::PendingStart));
        assert_eq!(S::Asleep.on(E::StopRequested), Ok(S::Stopping));
        assert_eq!(S::Asleep.on(E::RemoveRequested), Ok(S::PendingRemoval));
        for event in [E::StartBegun, E::Healthy, E::Failed, E::Crashed] {
            assert!(S::Asleep.on(event).is_err(), "{event:?}");
        }
    }

    #[test]
    fn removal_is_one_way() {
        for event in [E::StartRequested, E::Healthy, E::StopRequested, E::Failed] {
            assert!(S::PendingRemoval.on(event).is_err(), "{event:?}");
            assert!(S::Removed.on(event).is_err(), "{event:?}");
        }
    }

    #[test]
    fn everything_but_the_removed_can_be_removed() {
        for status in S::ALL {
            let expected = !matches!(status, S::PendingRemoval | S::Removed);
            assert_eq!(
                status.on(E::RemoveRequested).is_ok(),
                expected,
                "{status:?}"
            );
        }
    }
}
