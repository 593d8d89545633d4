//! Which version of its tool an instance runs, and the change from one to another (TOOL-4).
//!
//! An instance has two places on its machine, its [`Slot`]s. One serves; the other is empty, or keeps
//! the version before, stopped, for a roll-back. An upgrade starts the new version in the other place
//! and moves calls there once it proved itself; a roll-back is the same thing with the version that
//! was kept. The steps between are [`Stage`]s, each written down before anything is done for it; who
//! decides is the control plane's `reconcilers/instance/upgrade/plan.rs`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::InstanceId;

/// One of the two places that an instance has on its machine.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// The one that it is deployed to.
    #[default]
    First,
    /// The one of its first upgrade.
    Second,
}

impl Slot {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// The id under which the machine knows what is in this place. The machine sees two instances
    /// that share a volume, and needs to know no more. Two ids that differ in one bit: which instance
    /// it is of is known without a table.
    #[must_use]
    pub fn on_machine(self, instance: InstanceId) -> InstanceId {
        match self {
            Self::First => instance,
            Self::Second => twin(instance),
        }
    }
}

/// The id of the second place of the instance that has `id`, and of the instance whose second place
/// has `id`. The bit is one of the random ones.
#[must_use]
pub fn twin(id: InstanceId) -> InstanceId {
    Uuid::from_u128(id.as_uuid().as_u128() ^ 1).into()
}

/// A version as it is or was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Release {
    /// The catalog's name of it.
    pub version: String,
    /// What the tag was resolved to when it was first run; `null` while that is not known, or where
    /// there is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What an instance runs, ran, and is about to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The place that serves.
    #[serde(default)]
    pub serving: Slot,
    /// What the tag of the version that serves was resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The version before, for a roll-back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Release>,
    /// What is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<VersionChange>,
    /// Why the last change was given up, until there is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// By how much the generation grew for changes of version: by these alone what serves is not
    /// started anew.
    #[serde(default)]
    pub counted: i64,
}

/// What a change of version is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// To another version.
    Upgrade,
    /// To the one that was kept.
    Rollback,
}

impl ChangeKind {
    /// For sentences: `the upgrade to 2`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::Rollback => "roll-back",
        }
    }
}

/// Where the new version is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Beside the old one, which serves until the new one proved itself: no call is lost.
    #[default]
    Beside,
    /// After the old one was stopped: for tools whose data can't be open twice, or where there is no
    /// room for two. Calls wait meanwhile, for some seconds.
    Recreate,
}

/// How far a change of version is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// The old one is being stopped first ([`How::Recreate`]).
    Vacating,
    /// The new one is being started and looked at.
    Starting,
    /// The new one serves; the old one ends its calls and is stopped.
    Moved,
    /// The new one is being taken away again, because:
    Abandoning {
        /// For people.
        reason: String,
    },
}

/// A change of version under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionChange {
    /// Forward or back.
    pub kind: ChangeKind,
    /// To what.
    pub to: Release,
    /// Beside or in place.
    #[serde(default)]
    pub how: How,
    /// How far it is.
    #[serde(flatten)]
    pub stage: Stage,
    /// Whether tools may be missing that links use.
    #[serde(default)]
    pub accept_missing: bool,
    /// Until when the new one has to have proved itself, by the control plane's clock.
    pub deadline: DateTime<Utc>,
}

impl Versions {
    /// The place that does not serve.
    #[must_use]
    pub const fn spare(&self) -> Slot {
        self.serving.other()
    }

    /// Whether the place that serves has to be empty now: until the other one serves, or is empty again.
    #[must_use]
    pub fn is_vacated(&self) -> bool {
        self.change.as_ref().is_some_and(|change| {
            change.how == How::Recreate && !matches!(change.stage, Stage::Moved)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ambient;

    #[test]
    fn two_places_of_an_instance_know_each_other() {
        let id: InstanceId = Ambient::system().new_id();
        let second = Slot::Second.on_machine(id);
        assert_ne!(second, id);
        assert_eq!(Slot::First.on_machine(id), id);
        assert_eq!(twin(second), id);
        assert_eq!(
            second.as_uuid().get_version_num(),
            id.as_uuid().get_version_num()
        );
    }

    #[test]
    fn what_was_written_before_there_were_versions_reads_as_the_first_place() {
        let read: Versions = serde_json::from_str("{}").unwrap();
        assert_eq!(read, Versions::default());
        assert_eq!(read.spare(), Slot::Second);
    }

    #[test]
    fn a_change_comes_back_as_it_was_written() {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        for stage in [
            Stage::Vacating,
            Stage::Starting,
            Stage::Moved,
            Stage::Abandoning {
                reason: "it has no tool `a`".to_owned(),
            },
        ] {
            let written = VersionChange {
                kind: ChangeKind::Upgrade,
                to: Release {
                    version: "2".to_owned(),
                    digest: None,
                },
                how: How::Beside,
                stage,
                accept_missing: false,
                deadline: at,
            };
            let text = serde_json::to_string(&written).unwrap();
            assert_eq!(
                serde_json::from_str::<VersionChange>(&text).unwrap(),
                written
            );
        }
    }
}
