//! The account itself: who it is. Its limits and status stand in the settings.

use uuid::Uuid;

use crate::dice::Dice;

/// The account's identity.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) uuid: Uuid,
    pub(crate) team: Uuid,
    /// The network that new droplets are in.
    pub(crate) vpc: Uuid,
}

impl Account {
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self {
            uuid: dice.uuid(),
            team: dice.uuid(),
            vpc: dice.uuid(),
        }
    }
}
