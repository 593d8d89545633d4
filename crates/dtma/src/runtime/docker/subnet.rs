//! Which addresses an instance's network gets.
//!
//! The engine's own pools end after some thirty networks, so each instance gets a /28 of one
//! private range instead. The engine does not compare a subnet it is given with the machine's
//! routes; we do, so that a tool's network never hides a network that the machine is in.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The range that the networks of instances are cut from.
pub(super) const POOL: Subnet = Subnet {
    address: 0x0ac9_0000, // 10.201.0.0
    prefix: 16,
};
/// The size of an instance's network: 13 addresses beside the gateway's are plenty.
const PREFIX: u8 = 28;
const COUNT: u32 = 1 << (PREFIX - 16);

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subnet {
    address: u32,
    prefix: u8,
}

impl Subnet {
    const fn mask(prefix: u8) -> u32 {
        if prefix == 0 {
            0
        } else {
            u32::MAX << (32 - prefix)
        }
    }

    /// From a route as the kernel lists it (`/proc/net/route`), addresses in network order.
    fn from_route(destination: u32, mask: u32) -> Self {
        let prefix = u8::try_from(mask.count_ones()).unwrap_or(32);
        Self {
            address: u32::from_be(destination),
            prefix,
        }
    }

    /// Whether the address is in it.
    pub(super) const fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & Self::mask(self.prefix) == self.address
    }

    /// Its first address for hosts, which the engine gives to the machine.
    pub(super) const fn first(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.saturating_add(1))
    }

    /// Whether any address is in both.
    pub(super) const fn overlaps(self, other: Self) -> bool {
        let prefix = if self.prefix < other.prefix {
            self.prefix
        } else {
            other.prefix
        };
        let mask = Self::mask(prefix);
        self.address & mask == other.address & mask
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.address), self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').ok_or(())?;
        let address: Ipv4Addr = address.parse().map_err(drop)?;
        let prefix: u8 = prefix.parse().map_err(drop)?;
        if prefix > 32 {
            return Err(());
        }
        Ok(Self {
            address: u32::from(address) & Self::mask(prefix),
            prefix,
        })
    }
}

/// The first free subnet of the pool at or after the one that `seed` points at. The seed comes
/// from the instance's id, so that two DTMAs on one engine seldom want the same.
pub(super) fn choose(seed: u64, used: &[Subnet]) -> Option<Subnet> {
    let start = u32::try_from(seed % u64::from(COUNT)).unwrap_or(0);
    (0..COUNT)
        .map(|step| Subnet {
            address: POOL.address + (((start + step) % COUNT) << (32 - PREFIX)),
            prefix: PREFIX,
        })
        .find(|candidate| !used.iter().any(|used| used.overlaps(*candidate)))
}

/// The networks that the machine has routes to, its default route aside, from the text of
/// `/proc/net/route`.
pub(super) fn routes(text: &str) -> Vec<Subnet> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let destination = u32::from_str_radix(fields.nth(1)?, 16).ok()?;
            let mask = u32::from_str_radix(fields.nth(5)?, 16).ok()?;
            Some(Subnet::from_route(destination, mask))
        })
        .filter(|route| route.prefix > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn subnets_are_handed_out_once_until_the_pool_is_empty() {
        // All but a few are taken, those around the end of the pool among the free ones.
        let all = (0..COUNT).map(|number| Subnet {
            address: POOL.address + (number << 4),
            prefix: PREFIX,
        });
        let free = [0, 1, 700, COUNT - 1].map(|number| POOL.address + (number << 4));
        let mut used: Vec<Subnet> = all
            .filter(|subnet| !free.contains(&subnet.address))
            .collect();
        let mut given = Vec::new();
        while let Some(next) = choose(u64::from(COUNT) * 3 + 2, &used) {
            assert!(next.overlaps(POOL) && !used.contains(&next));
            used.push(next);
            given.push(next.address);
        }
        assert_eq!(
            given,
            [free[2], free[3], free[0], free[1]],
            "from the seed on, then from the start"
        );
    }

    #[test]
    fn what_the_machine_routes_is_left_alone() {
        let used = [subnet("10.201.0.0/17")];
        assert_eq!(choose(0, &used), Some(subnet("10.201.128.0/28")));
        assert_eq!(choose(0, &[subnet("10.0.0.0/8")]), None);
    }

    #[test]
    fn the_kernels_routes_are_read_and_the_default_route_is_skipped() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(routes(text), [subnet("172.17.0.0/16")]);
    }
}
