//! No machines at all: every order succeeds at once, and addresses come from the ranges that are
//! reserved for documentation (RFC 5737), where nobody listens.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Address, Limits, MachineError, MachinePlan, Machines, ShutdownOutcome};
use crate::state::DropletId;

const RANGES: [[u8; 3]; 3] = [[203, 0, 113], [198, 51, 100], [192, 0, 2]];
const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
/// The gateway of each range; machines get what comes after it.
const GATEWAY: u8 = 1;

/// Droplets without anything behind them.
///
/// A new machine gets the lowest free address, so that a run replays, and so that an address is soon
/// somebody else's, as at DigitalOcean.
#[derive(Debug, Default)]
pub struct NoMachines {
    taken: Mutex<BTreeMap<DropletId, Address>>,
}

fn pool() -> impl Iterator<Item = Address> {
    RANGES.into_iter().flat_map(|[a, b, c]| {
        (GATEWAY + 1..=254).map(move |host| Address {
            ip: Ipv4Addr::new(a, b, c, host),
            netmask: NETMASK,
            gateway: Ipv4Addr::new(a, b, c, GATEWAY),
        })
    })
}

#[async_trait]
impl Machines for NoMachines {
    async fn boot(&self, plan: &MachinePlan) -> Result<(), MachineError> {
        let mut taken = self.taken.lock();
        let used: BTreeSet<_> = taken.values().map(|address| address.ip).collect();
        let address = pool()
            .find(|address| !used.contains(&address.ip))
            .ok_or(MachineError::NoAddress)?;
        taken.insert(plan.droplet, address);
        Ok(())
    }

    async fn power_off(&self, _: DropletId) -> Result<(), MachineError> {
        Ok(())
    }

    async fn shut_down(&self, _: DropletId) -> Result<ShutdownOutcome, MachineError> {
        Ok(ShutdownOutcome::Down)
    }

    async fn power_on(&self, _: DropletId) -> Result<(), MachineError> {
        Ok(())
    }

    async fn resize(&self, _: DropletId, _: Limits) -> Result<(), MachineError> {
        Ok(())
    }

    async fn destroy(&self, droplet: DropletId) -> Result<(), MachineError> {
        self.taken.lock().remove(&droplet);
        Ok(())
    }

    async fn address(&self, droplet: DropletId) -> Result<Address, MachineError> {
        let taken = self.taken.lock();
        let address = taken.get(&droplet).copied();
        address.ok_or(MachineError::Unknown(droplet))
    }

    async fn stopped(&self) -> DropletId {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn boot(machines: &NoMachines, droplet: DropletId) -> Result<Address, MachineError> {
        let plan = MachinePlan {
            droplet,
            name: String::new(),
            region: String::new(),
            image: String::new(),
            limits: Limits {
                vcpus: 1,
                memory: 1024,
                disk: 25,
            },
            user_data: None,
            ssh_keys: vec![],
        };
        machines.boot(&plan).now_or_never().unwrap()?;
        machines.address(droplet).now_or_never().unwrap()
    }

    #[test]
    fn addresses_are_unlike_and_come_back() {
        let machines = NoMachines::default();
        let first = boot(&machines, DropletId(1)).unwrap();
        let second = boot(&machines, DropletId(2)).unwrap();
        assert_eq!(first.ip, Ipv4Addr::new(203, 0, 113, 2));
        assert_ne!(first.ip, second.ip);
        machines
            .destroy(DropletId(1))
            .now_or_never()
            .unwrap()
            .unwrap();
        assert_eq!(boot(&machines, DropletId(3)).unwrap(), first);
    }

    #[test]
    fn the_pool_has_an_end() {
        let machines = NoMachines::default();
        for id in 0..759 {
            boot(&machines, DropletId(id)).unwrap();
        }
        assert!(matches!(
            boot(&machines, DropletId(800)),
            Err(MachineError::NoAddress)
        ));
    }
}
