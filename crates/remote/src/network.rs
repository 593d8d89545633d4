//! What kind of network an address belongs to, by the IANA's registries of special addresses. Pure.
//!
//! Addresses that carry an IPv4 address inside are judged by it where they lead to it (mapped,
//! NAT64), and are refused where only a tunnel could bring them there (6to4, Teredo).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Everybody's internet.
    Public,
    /// This machine.
    Loopback,
    /// `0.0.0.0/8` and `::`: this machine again, for most systems.
    Unspecified,
    /// The link, where cloud machines find their metadata service (169.254.169.254).
    LinkLocal,
    /// Private networks (RFC 1918, unique local and site-local addresses).
    Private,
    /// Behind a provider's translation (100.64.0.0/10).
    Shared,
    /// A cloud's own services on an address that looks public.
    CloudService,
    /// For examples and measurements only.
    Documentation,
    /// Many at once.
    Multicast,
    /// IPv4 inside of IPv6, which a tunnel would unpack.
    Tunnel,
    /// Not given to anybody.
    Reserved,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public",
            Self::Loopback => "a loopback",
            Self::Unspecified => "an unspecified",
            Self::LinkLocal => "a link-local",
            Self::Private => "a private",
            Self::Shared => "a shared (carrier)",
            Self::CloudService => "a cloud's internal",
            Self::Documentation => "a documentation or test",
            Self::Multicast => "a multicast",
            Self::Tunnel => "a tunnel",
            Self::Reserved => "a reserved",
        })
    }
}

/// The special networks of IPv4: base, length of the prefix, kind.
const V4: [([u8; 4], u8, Network); 19] = [
    ([0, 0, 0, 0], 8, Network::Unspecified),
    ([10, 0, 0, 0], 8, Network::Private),
    ([100, 64, 0, 0], 10, Network::Shared),
    ([127, 0, 0, 0], 8, Network::Loopback),
    // Azure's agent of the host ("WireServer").
    ([168, 63, 129, 16], 32, Network::CloudService),
    ([169, 254, 0, 0], 16, Network::LinkLocal),
    ([172, 16, 0, 0], 12, Network::Private),
    // IETF protocol assignments; Oracle's metadata service is among them.
    ([192, 0, 0, 0], 24, Network::Reserved),
    ([192, 0, 2, 0], 24, Network::Documentation),
    ([192, 31, 196, 0], 24, Network::Reserved),
    ([192, 52, 193, 0], 24, Network::Reserved),
    ([192, 88, 99, 0], 24, Network::Tunnel),
    ([192, 168, 0, 0], 16, Network::Private),
    ([192, 175, 48, 0], 24, Network::Reserved),
    ([198, 18, 0, 0], 15, Network::Documentation),
    ([198, 51, 100, 0], 24, Network::Documentation),
    ([203, 0, 113, 0], 24, Network::Documentation),
    ([224, 0, 0, 0], 4, Network::Multicast),
    ([240, 0, 0, 0], 4, Network::Reserved),
];

/// The special networks of IPv6; what is in none of them and outside of `2000::/3` is reserved.
const V6: [([u16; 8], u8, Network); 16] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, Network::Unspecified),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Network::Loopback),
    // NAT64 of one's own network: nobody but it knows what is behind.
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Network::Private),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, Network::Reserved),
    // Teredo first, it lies in the protocol assignments.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Network::Tunnel),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Network::Reserved),
    (
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0],
        32,
        Network::Documentation,
    ),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Network::Tunnel),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, Network::Reserved),
    ([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, Network::Reserved),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Network::Documentation),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, Network::Reserved),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Network::Private),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Network::LinkLocal),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Network::Private),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Network::Multicast),
];

impl Network {
    /// The kind of network that `address` belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match plain(address) {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        }
    }
}

/// The address that packets really go to: an IPv4 address in IPv6's clothes is that address.
pub(crate) fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn v4(address: Ipv4Addr) -> Network {
    let bits = address.to_bits();
    let is_in = |base: [u8; 4], length: u8| {
        let shift = 32 - u32::from(length);
        bits >> shift == Ipv4Addr::from(base).to_bits() >> shift
    };
    V4.iter()
        .find(|(base, length, _)| is_in(*base, *length))
        .map_or(Network::Public, |(_, _, network)| *network)
}

fn v6(address: Ipv6Addr) -> Network {
    let bits = address.to_bits();
    let is_in = |base: [u16; 8], length: u8| {
        let shift = 128 - u32::from(length);
        bits >> shift == Ipv6Addr::from(base).to_bits() >> shift
    };
    if is_in([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96) {
        return v4(inside(address));
    }
    let special = V6
        .iter()
        .find(|(base, length, _)| is_in(*base, *length))
        .map(|(_, _, network)| *network);
    match special {
        Some(network) => network,
        None if is_in([0x2000, 0, 0, 0, 0, 0, 0, 0], 3) => Network::Public,
        None => Network::Reserved,
    }
}

/// The IPv4 address in the last 32 bits.
fn inside(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn special_addresses_of_ipv4_are_known_by_both_their_ends() {
        use Network as N;
        for (first, last, network) in [
            ("0.0.0.0", "0.255.255.255", N::Unspecified),
            ("10.0.0.0", "10.255.255.255", N::Private),
            ("100.64.0.0", "100.127.255.255", N::Shared),
            ("127.0.0.0", "127.255.255.255", N::Loopback),
            ("169.254.0.0", "169.254.255.255", N::LinkLocal),
            ("172.16.0.0", "172.31.255.255", N::Private),
            ("192.0.0.0", "192.0.0.255", N::Reserved),
            ("192.0.2.0", "192.0.2.255", N::Documentation),
            ("192.88.99.0", "192.88.99.255", N::Tunnel),
            ("192.168.0.0", "192.168.255.255", N::Private),
            ("198.18.0.0", "198.19.255.255", N::Documentation),
            ("198.51.100.0", "198.51.100.255", N::Documentation),
            ("203.0.113.0", "203.0.113.255", N::Documentation),
            ("224.0.0.0", "239.255.255.255", N::Multicast),
            ("240.0.0.0", "255.255.255.255", N::Reserved),
        ] {
            assert_eq!(of(first), network, "{first}");
            assert_eq!(of(last), network, "{last}");
        }
    }

    #[test]
    fn the_neighbours_of_special_addresses_are_public() {
        for text in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "2001:db7:ffff::1",
            "2003::1",
            "3fff:1000::1",
        ] {
            assert_eq!(of(text), Network::Public, "{text}");
        }
    }

    #[test]
    fn special_addresses_of_ipv6_are_known() {
        use Network as N;
        for (text, network) in [
            ("::", N::Unspecified),
            ("::1", N::Loopback),
            ("::2", N::Reserved),
            // The deprecated "compatible" form.
            ("::127.0.0.1", N::Reserved),
            ("100::1", N::Reserved),
            ("64:ff9b:1::1", N::Private),
            ("2001::1", N::Tunnel),
            ("2001:2::1", N::Reserved),
            ("2001:db8::1", N::Documentation),
            ("2002:7f00:1::", N::Tunnel),
            ("2002:808:808::1", N::Tunnel),
            ("3ffe::1", N::Reserved),
            ("3fff::1", N::Documentation),
            ("4000::1", N::Reserved),
            ("5f00::1", N::Reserved),
            ("fc00::1", N::Private),
            // The metadata service of Amazon by IPv6.
            ("fd00:ec2::254", N::Private),
            ("fe80::1", N::LinkLocal),
            ("febf::1", N::LinkLocal),
            ("fec0::1", N::Private),
            ("ff02::1", N::Multicast),
        ] {
            assert_eq!(of(text), network, "{text}");
        }
    }

    #[test]
    fn services_of_clouds_are_never_public() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "64:ff9b::a9fe:a9fe",
            "::ffff:169.254.169.254",
        ] {
            assert_ne!(of(text), Network::Public, "{text}");
        }
    }

    proptest! {
        #[test]
        fn ipv4_in_ipv6_is_judged_as_ipv4(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let mapped = IpAddr::V6(v4.to_ipv6_mapped());
            prop_assert_eq!(Network::of(mapped), Network::of(IpAddr::V4(v4)));
            let nat64 = Ipv6Addr::from_bits((0x64_ff9b << 96) | u128::from(bits));
            prop_assert_eq!(Network::of(IpAddr::V6(nat64)), Network::of(IpAddr::V4(v4)));
        }

        #[test]
        fn what_the_standard_library_calls_special_is_not_public(bits: u32, wide: u128) {
            let v4 = Ipv4Addr::from_bits(bits);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_multicast()
                || v4.is_unspecified();
            prop_assert!(!special || Network::of(IpAddr::V4(v4)) != Network::Public);
            let v6 = Ipv6Addr::from_bits(wide);
            let special = v6.is_loopback() || v6.is_multicast() || v6.is_unspecified()
                || v6.is_unique_local() || v6.is_unicast_link_local();
            prop_assert!(!special || Network::of(IpAddr::V6(v6)) != Network::Public);
        }

        #[test]
        fn nothing_outside_of_global_unicast_is_public(wide: u128) {
            let v6 = Ipv6Addr::from_bits(wide);
            if Network::of(IpAddr::V6(v6)) == Network::Public {
                prop_assert_eq!(wide >> 125, 1);
            }
        }
    }
}
