//! Faults of resources: a droplet, an action or a firewall that does not do as it should.

use serde::{Deserialize, Serialize};

use super::when::{Rule, When};
use crate::settings::Delay;

/// What is wrong with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceFault {
    /// The droplet stays `new` and its create action `in-progress` for ever. It can be deleted.
    StuckNew,
    /// The droplet is gone (404) some time after its creation was accepted.
    Vanish,
    /// The create action ends `errored`; the droplet stays `new`.
    CreateErrored,
    /// Its public address takes much longer to appear.
    IpLate,
    /// Lists take much longer to show it, and to drop it; reading it by id is right all the time.
    ListLag,
    /// An action ends `errored` and has changed nothing.
    ActionErrored,
    /// An action takes effect while it is under way, ends `errored` and is undone.
    ActionRolledBack,
    /// A shutdown completes and the droplet stays on.
    ShutdownIgnored,
    /// A resize is refused: "Size is too large to fit on your droplet's server".
    ResizeRefused,
    /// A deletion answers 204 and the droplet stays.
    Survivor,
    /// A change of a firewall ends `failed`.
    FirewallFailed,
    /// Assigning to a project answers `service_down`.
    ProjectServiceDown,
}

/// When a fault can bite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// A droplet is created.
    Create,
    /// An action of this type is requested.
    Action(&'a str),
    /// A droplet is deleted.
    Delete,
    /// A firewall is made or changed.
    Firewall,
    /// A droplet is assigned to a project.
    Assign,
}

impl ResourceFault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::StuckNew,
        Self::Vanish,
        Self::CreateErrored,
        Self::IpLate,
        Self::ListLag,
        Self::ActionErrored,
        Self::ActionRolledBack,
        Self::ShutdownIgnored,
        Self::ResizeRefused,
        Self::Survivor,
        Self::FirewallFailed,
        Self::ProjectServiceDown,
    ];

    /// Whether this is an occasion for it.
    pub(super) fn can_bite(self, occasion: Occasion<'_>) -> bool {
        match self {
            Self::StuckNew | Self::Vanish | Self::CreateErrored | Self::IpLate | Self::ListLag => {
                occasion == Occasion::Create
            }
            Self::ActionErrored | Self::ActionRolledBack => {
                matches!(occasion, Occasion::Action(_))
            }
            Self::ShutdownIgnored => occasion == Occasion::Action("shutdown"),
            Self::ResizeRefused => occasion == Occasion::Action("resize"),
            Self::Survivor => occasion == Occasion::Delete,
            Self::FirewallFailed => occasion == Occasion::Firewall,
            Self::ProjectServiceDown => occasion == Occasion::Assign,
        }
    }

    /// How long it takes, for those that take time, unless the rule says.
    fn usual_delay(self) -> Delay {
        match self {
            Self::Vanish => Delay::seconds(0, 60),
            Self::IpLate => Delay::seconds(30, 300),
            Self::ListLag => Delay::seconds(10, 60),
            _ => Delay::ZERO,
        }
    }
}

/// A rule for resources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRule {
    /// What is wrong.
    pub fault: ResourceFault,
    /// Which occasions.
    #[serde(default)]
    pub when: When,
    /// Only this droplet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub droplet: Option<u64>,
    /// Only droplets or firewalls of exactly this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only droplets with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only actions of this type (`resize`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// After how long a droplet vanishes, how much later its address comes, by how much lists lag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
}

/// Whom an occasion is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) droplet: Option<u64>,
    pub(crate) name: &'a str,
    pub(crate) tags: &'a [String],
}

/// A fault that bites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bitten {
    pub(crate) fault: ResourceFault,
    pub(crate) delay: Delay,
}

impl Bitten {
    pub(super) fn usual(fault: ResourceFault) -> Self {
        Self {
            fault,
            delay: fault.usual_delay(),
        }
    }
}

impl ResourceRule {
    /// Every resource that can have it.
    #[must_use]
    pub fn new(fault: ResourceFault) -> Self {
        Self {
            fault,
            when: When::always(),
            droplet: None,
            name: None,
            tag: None,
            action: None,
            delay: None,
        }
    }

    /// Only these occasions.
    #[must_use]
    pub fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// Only droplets with this tag.
    #[must_use]
    pub fn tagged(self, tag: &str) -> Self {
        Self {
            tag: Some(tag.to_owned()),
            ..self
        }
    }

    /// Only actions of this type.
    #[must_use]
    pub fn on_action(self, action: &str) -> Self {
        Self {
            action: Some(action.to_owned()),
            ..self
        }
    }

    /// With this delay.
    #[must_use]
    pub fn after(self, delay: Delay) -> Self {
        Self {
            delay: Some(delay),
            ..self
        }
    }

    pub(super) fn matches(&self, occasion: Occasion<'_>, subject: &Subject<'_>) -> bool {
        let action = match occasion {
            Occasion::Action(action) => Some(action),
            _ => None,
        };
        let fits = |wanted: Option<&str>, is: Option<&str>| wanted.is_none() || wanted == is;
        self.fault.can_bite(occasion)
            && fits(self.action.as_deref(), action)
            && fits(self.name.as_deref(), Some(subject.name))
            && (self.droplet.is_none() || self.droplet == subject.droplet)
            && (self.tag.as_ref()).is_none_or(|tag| subject.tags.contains(tag))
    }

    pub(super) fn bitten(&self) -> Bitten {
        Bitten {
            fault: self.fault,
            delay: self.delay.unwrap_or_else(|| self.fault.usual_delay()),
        }
    }
}

impl Rule for ResourceRule {
    fn when(&self) -> When {
        self.when
    }
}
