//! The network of the machines: which addresses there are, and what is called how. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::machines::Address;

/// The first addresses are the gateway's, and left for what a host may want besides.
const FIRST: usize = 9;

/// A subnet, whose first address is the gateway's: the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses(Ipv4Net);

impl Addresses {
    pub(super) const fn new(subnet: Ipv4Net) -> Self {
        Self(subnet)
    }

    pub(super) const fn subnet(self) -> Ipv4Net {
        self.0
    }

    /// The host, as machines see it.
    pub(super) fn gateway(self) -> Ipv4Addr {
        self.0.hosts().next().unwrap_or(self.0.addr())
    }

    /// The lowest address that nobody has, so that one is soon somebody else's, as at DigitalOcean.
    pub(super) fn free(self, taken: &BTreeSet<Ipv4Addr>) -> Option<Address> {
        let mut hosts = self.0.hosts().skip(FIRST);
        let ip = hosts.find(|ip| !taken.contains(ip))?;
        Some(Address {
            ip,
            netmask: self.0.netmask(),
            gateway: self.gateway(),
        })
    }

    /// The name of the bridge, and of all that is of this subnet. The kernel takes 15 characters.
    pub(super) fn bridge(self) -> String {
        format!("dosim{:08x}", u32::from(self.0.network()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_handed_out_once_and_come_back() {
        let addresses = Addresses::new("10.77.0.0/28".parse().unwrap());
        assert_eq!(addresses.gateway(), Ipv4Addr::new(10, 77, 0, 1));
        let mut taken = BTreeSet::new();
        while let Some(address) = addresses.free(&taken) {
            assert!(taken.insert(address.ip));
        }
        // 14 hosts, of which 9 are not for machines.
        assert_eq!(taken.len(), 5);
        let back = Ipv4Addr::new(10, 77, 0, 12);
        taken.remove(&back);
        assert_eq!(addresses.free(&taken).unwrap().ip, back);
    }

    #[test]
    fn a_bridge_has_a_name_that_the_kernel_takes() {
        let name = Addresses::new("10.77.3.0/24".parse().unwrap()).bridge();
        assert_eq!(name, "dosim0a4d0300");
        assert!(name.len() <= 15);
    }
}
