//! Which machines there are, where they are, and whether they are to be on. Pure, behind a lock.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use super::MOST_MACHINES;
use super::addresses::Addresses;
use crate::machines::{Address, MachineError, MachinePlan};
use crate::state::DropletId;

/// Whether a machine is to be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    On,
    Off,
}

/// A machine, or what is to become one.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) plan: MachinePlan,
    pub(super) address: Address,
    pub(super) power: Power,
    /// Its container's id, as soon as there is one.
    pub(super) container: Option<String>,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Roster(Mutex<BTreeMap<DropletId, Machine>>);

impl Roster {
    /// Writes a machine down that is to be made, with an address of its own.
    ///
    /// # Errors
    /// When there are enough, or no address is left.
    pub(super) fn reserve(
        &self,
        plan: &MachinePlan,
        addresses: Addresses,
    ) -> Result<Address, MachineError> {
        let mut machines = self.0.lock();
        if machines.len() >= MOST_MACHINES {
            return Err(MachineError::TooMany(MOST_MACHINES));
        }
        let taken: BTreeSet<_> = machines.values().map(|it| it.address.ip).collect();
        let address = addresses.free(&taken).ok_or(MachineError::NoAddress)?;
        let machine = Machine {
            plan: plan.clone(),
            address,
            power: Power::Off,
            container: None,
        };
        machines.insert(plan.droplet, machine);
        Ok(address)
    }

    /// Its container was made.
    pub(super) fn made(&self, droplet: DropletId, container: String) {
        if let Some(machine) = self.0.lock().get_mut(&droplet) {
            machine.container = Some(container);
        }
    }

    /// Whether it is to be on, from now.
    pub(super) fn set_power(&self, droplet: DropletId, power: Power) {
        if let Some(machine) = self.0.lock().get_mut(&droplet) {
            machine.power = power;
        }
    }

    /// # Errors
    /// When there is none.
    pub(super) fn get(&self, droplet: DropletId) -> Result<Machine, MachineError> {
        let machine = self.0.lock().get(&droplet).cloned();
        machine.ok_or(MachineError::Unknown(droplet))
    }

    /// The container of one that was made.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn container(&self, droplet: DropletId) -> Result<String, MachineError> {
        let container = self.get(droplet)?.container;
        container.ok_or(MachineError::Unknown(droplet))
    }

    pub(super) fn remove(&self, droplet: DropletId) -> Option<Machine> {
        self.0.lock().remove(&droplet)
    }

    pub(super) fn all(&self) -> Vec<DropletId> {
        self.0.lock().keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machines::Limits;

    fn plan(droplet: u64) -> MachinePlan {
        MachinePlan {
            droplet: DropletId(droplet),
            name: "web".to_owned(),
            region: "fra1".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            limits: Limits {
                vcpus: 1,
                memory: 1024,
                disk: 25,
            },
            user_data: None,
            ssh_keys: vec![],
        }
    }

    #[test]
    fn no_more_machines_are_made_than_a_host_carries() {
        let (roster, addresses) = (
            Roster::default(),
            Addresses::new("10.77.0.0/24".parse().unwrap()),
        );
        let mut seen = BTreeSet::new();
        for droplet in 0..MOST_MACHINES as u64 {
            let address = roster.reserve(&plan(droplet), addresses).unwrap();
            assert!(seen.insert(address.ip));
        }
        let refused = roster.reserve(&plan(100), addresses);
        assert!(matches!(refused, Err(MachineError::TooMany(MOST_MACHINES))));
        let free = roster.remove(DropletId(7)).unwrap().address;
        assert_eq!(roster.reserve(&plan(101), addresses).unwrap(), free);
    }

    #[test]
    fn a_small_subnet_ends_before_that() {
        let addresses = Addresses::new("10.77.0.0/28".parse().unwrap());
        let roster = Roster::default();
        while roster
            .reserve(&plan(roster.all().len() as u64), addresses)
            .is_ok()
        {}
        assert!(matches!(
            roster.reserve(&plan(100), addresses),
            Err(MachineError::NoAddress)
        ));
        assert!(roster.all().len() < MOST_MACHINES);
    }
}
