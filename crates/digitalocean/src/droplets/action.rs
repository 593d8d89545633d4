//! What can be done to a droplet.

use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// An action on one droplet.
///
/// There is no resize of the disk: it would grow for good, and the way back to a smaller size would
/// be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DropletAction {
    /// Turns it off, on, or off and on again.
    Power(PowerAction),
    /// Asks the system to start again.
    Reboot,
    /// Changes processors and RAM; the droplet has to be off. Turn it on again afterwards, also
    /// when this failed. The price changes on completion.
    Resize {
        /// The new size, such as `s-2vcpu-4gb`.
        size: String,
    },
}

/// The actions that can also be done to all droplets with a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerAction {
    /// Asks the system to turn itself off. That it was asked is all that `completed` means.
    Shutdown,
    /// Cuts the power.
    PowerOff,
    /// Turns it on.
    PowerOn,
    /// Cuts the power and turns it on again.
    PowerCycle,
}

impl DropletAction {
    /// Completes "can't …".
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::Power(PowerAction::Shutdown) => "shut a droplet down",
            Self::Power(PowerAction::PowerOff) => "power a droplet off",
            Self::Power(PowerAction::PowerOn) => "power a droplet on",
            Self::Power(PowerAction::PowerCycle) => "power-cycle a droplet",
            Self::Reboot => "reboot a droplet",
            Self::Resize { .. } => "resize a droplet",
        }
    }
}

impl DropletAction {
    /// The `type` under which DigitalOcean lists it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Power(action) => action.word(),
            Self::Reboot => "reboot",
            Self::Resize { .. } => "resize",
        }
    }
}

impl PowerAction {
    fn word(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::PowerOff => "power_off",
            Self::PowerOn => "power_on",
            Self::PowerCycle => "power_cycle",
        }
    }
}

impl Serialize for PowerAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("type", self.word())?;
        map.end()
    }
}

impl Serialize for DropletAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Power(action) => action.serialize(serializer),
            Self::Reboot => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("type", self.word())?;
                map.end()
            }
            Self::Resize { size } => {
                let mut map = serializer.serialize_map(Some(3))?;
                map.serialize_entry("type", self.word())?;
                map.serialize_entry("disk", &false)?;
                map.serialize_entry("size", size)?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resize_never_touches_the_disk() {
        let resize = DropletAction::Resize {
            size: "s-2vcpu-4gb".into(),
        };
        assert_eq!(
            serde_json::to_string(&resize).unwrap(),
            r#"{"type":"resize","disk":false,"size":"s-2vcpu-4gb"}"#
        );
    }

    #[test]
    fn actions_have_their_words() {
        let word = |action| serde_json::to_string(&action).unwrap();
        assert_eq!(word(DropletAction::Reboot), r#"{"type":"reboot"}"#);
        for (action, expected) in [
            (PowerAction::Shutdown, r#"{"type":"shutdown"}"#),
            (PowerAction::PowerOff, r#"{"type":"power_off"}"#),
            (PowerAction::PowerOn, r#"{"type":"power_on"}"#),
            (PowerAction::PowerCycle, r#"{"type":"power_cycle"}"#),
        ] {
            assert_eq!(word(DropletAction::Power(action)), expected);
        }
    }
}
