//! The rules of one instance, as text for iptables. Pure.
//!
//! They stand in the table `mangle` at `PREROUTING`: there everything that the container sends passes once,
//! wherever it goes (to the machine itself or through it), with the address and the port that it was sent
//! to, before the engine's own rules, which the engine takes away and makes anew as it likes.
//!
//! | what a packet is | what becomes of it |
//! |---|---|
//! | an answer to somebody who came to the tool | passes |
//! | to our resolver, of a tool that is given one | passes |
//! | to the machine itself, by any of its addresses | dropped |
//! | to another tool, or a link-local address (metadata service) | refused |
//! | anything of a tool that may go everywhere | passes |
//! | to a network, or a learnt address, at a port of the policy | passes, and its connection is marked |
//! | of a connection with the policy's mark | passes |
//! | anything else | refused |
//!
//! The mark is made from the policy: another policy has another one, so connections that the one before
//! let through are cut off, and those that are open stay when an address is forgotten. "Refused" is a mark on
//! the packet, because this table can't answer: the filter answers it ([`REFUSALS`]), and behind the filter it
//! is dropped in case that nobody did.

use std::net::Ipv4Addr;

use agentopia_domain::InstanceId;
use agentopia_domain::egress::{Egress, Host};
use sha2::{Digest as _, Sha256};

use super::super::subnet::{self, Subnet};
use super::learned::Learned;

/// On packets that are refused; "AGEg".
const REFUSED: &str = "0x41474567";
/// What answers and what drops refused packets, for all instances: table, chain, rule. The first may be
/// missing (an engine that uses no such chain).
pub(super) const REFUSALS: [(&str, &str, &str); 2] = [
    (
        "filter",
        "DOCKER-USER",
        "-m mark --mark 0x41474567 -j REJECT --reject-with icmp-admin-prohibited",
    ),
    ("mangle", "POSTROUTING", "-m mark --mark 0x41474567 -j DROP"),
];

/// Where an instance is on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    bridge: [u8; 12],
    /// Of its network.
    pub(super) subnet: Subnet,
    /// The machine's address in its network.
    pub(super) gateway: Ipv4Addr,
}

impl Place {
    /// `bridge` is what is behind `br-` in the interface's name.
    pub(super) fn new(bridge: &str, subnet: Subnet, gateway: Ipv4Addr) -> Option<Self> {
        let is_hex = bridge.bytes().all(|b| b.is_ascii_hexdigit());
        let bridge = bridge.as_bytes().try_into().ok().filter(|_| is_hex)?;
        Some(Self {
            bridge,
            subnet,
            gateway,
        })
    }

    /// The rule that leads everything from the instance into its chain.
    pub(super) fn hook(self, id: InstanceId) -> String {
        let bridge = String::from_utf8_lossy(&self.bridge);
        format!("-i br-{bridge} -j {}", name(id))
    }
}

/// The chain of an instance. Names of chains have at most 28 characters; the end of an id is random.
pub(super) fn name(id: InstanceId) -> String {
    format!("AGOUT-{:016X}", id.as_uuid().as_u64_pair().1)
}

/// The mark of connections that a policy let through.
fn mark(policy: &Egress) -> String {
    let digest = Sha256::digest(policy.to_string());
    let [a, b, c, d, ..] = digest.as_slice() else {
        return "0x1".to_owned();
    };
    // Never 0, which connections have that nobody marked.
    format!("0x{:x}", u32::from_be_bytes([*a, *b, *c, *d]) | 1)
}

/// The rules, each as iptables itself would print it, so that what is there can be compared.
pub(super) fn chain(
    id: InstanceId,
    place: Place,
    policy: &Egress,
    learned: &Learned,
) -> Vec<String> {
    let mut rules = vec!["-m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN".to_owned()];
    if !policy.is_open() {
        for protocol in ["udp", "tcp"] {
            let gateway = place.gateway;
            rules.push(format!(
                "-d {gateway}/32 -p {protocol} -m {protocol} --dport 53 -j RETURN"
            ));
        }
    }
    rules.push("-m addrtype --dst-type LOCAL -j DROP".to_owned());
    for refused in [subnet::POOL.to_string(), "169.254.0.0/16".to_owned()] {
        rules.push(format!(
            "-d {refused} -j MARK --set-xmark {REFUSED}/0xffffffff"
        ));
    }
    rules.push(format!("-m mark --mark {REFUSED} -j RETURN"));
    if !policy.is_open() {
        let mark = mark(policy);
        let mut let_through = |to: String, protocol: &str, port: u16| {
            // So iptables prints a network of everything: not at all.
            let to = match to.as_str() {
                "0.0.0.0/0" => String::new(),
                to => format!("-d {to} "),
            };
            rules.push(format!(
                "{to}-p {protocol} -m {protocol} --dport {port} -j CONNMARK --set-xmark {mark}/0xffffffff"
            ));
        };
        for line in policy.destinations() {
            if let Host::Network(network) = &line.host {
                let_through(network.to_string(), line.protocol.as_str(), line.port);
            }
        }
        for (address, protocol, port) in learned.iter() {
            let_through(format!("{address}/32"), protocol.as_str(), port);
        }
        rules.push(format!("-m connmark --mark {mark} -j RETURN"));
        rules.push(format!("-j MARK --set-xmark {REFUSED}/0xffffffff"));
    }
    let chain = name(id);
    rules
        .into_iter()
        .map(|rule| format!("-A {chain} {rule}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use agentopia_domain::Ambient;
    use agentopia_domain::direct_access::PortProtocol;
    use agentopia_domain::egress::Destinations;
    use tokio::time::{Duration, Instant};

    use super::*;

    fn here() -> Place {
        let subnet = "10.201.3.16/28".parse().unwrap();
        Place::new("0123456789ab", subnet, Ipv4Addr::new(10, 201, 3, 17)).unwrap()
    }

    fn rules(policy: &Egress, learned: &Learned) -> Vec<String> {
        let id = Ambient::system().new_id();
        let prefix = format!("-A {} ", name(id));
        let lines = chain(id, here(), policy, learned);
        lines
            .iter()
            .map(|line| line.strip_prefix(&prefix).unwrap().to_owned())
            .collect()
    }

    const HEAD: &str = "-m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN";
    const NEVER: [&str; 4] = [
        "-m addrtype --dst-type LOCAL -j DROP",
        "-d 10.201.0.0/16 -j MARK --set-xmark 0x41474567/0xffffffff",
        "-d 169.254.0.0/16 -j MARK --set-xmark 0x41474567/0xffffffff",
        "-m mark --mark 0x41474567 -j RETURN",
    ];
    const DNS: [&str; 2] = [
        "-d 10.201.3.17/32 -p udp -m udp --dport 53 -j RETURN",
        "-d 10.201.3.17/32 -p tcp -m tcp --dport 53 -j RETURN",
    ];

    #[test]
    fn an_open_tool_reaches_neither_its_machine_nor_its_neighbours() {
        let rules = rules(&Egress::Open, &Learned::default());
        assert_eq!(rules, [&[HEAD][..], &NEVER].concat());
    }

    #[test]
    fn a_closed_tool_has_a_resolver_and_nothing_else() {
        let rules = rules(&Egress::None, &Learned::default());
        assert_eq!(rules[..7], [&[HEAD][..], &DNS, &NEVER].concat());
        assert!(rules[7].starts_with("-m connmark --mark 0x") && rules[7].ends_with("-j RETURN"));
        assert_eq!(rules[8], "-j MARK --set-xmark 0x41474567/0xffffffff");
        assert_eq!(rules.len(), 9);
    }

    #[test]
    fn a_list_lets_its_networks_and_what_was_learnt_through_after_what_is_never_reached() {
        let list = [
            "10.20.0.0/16:5432",
            "0.0.0.0/0:123/udp",
            "api.example.com:443",
        ];
        let policy = Egress::Allow {
            to: Destinations::parse(list).unwrap(),
        };
        let mut learned = Learned::default();
        let now = Instant::now();
        let address = Ipv4Addr::new(192, 0, 2, 7);
        learned.learn(
            [(address, PortProtocol::Tcp, 443)],
            now + Duration::from_secs(60),
        );
        let rules = rules(&policy, &learned);
        let mark = mark(&policy);
        assert_eq!(rules[..7], [&[HEAD][..], &DNS, &NEVER].concat());
        let through = |what: &str| format!("{what} -j CONNMARK --set-xmark {mark}/0xffffffff");
        let mut given = rules[7..10].to_vec();
        given.sort();
        let mut wanted = [
            through("-p udp -m udp --dport 123"),
            through("-d 10.20.0.0/16 -p tcp -m tcp --dport 5432"),
            through("-d 192.0.2.7/32 -p tcp -m tcp --dport 443"),
        ];
        wanted.sort();
        assert_eq!(given, wanted);
        assert_eq!(rules.len(), 12);
    }

    #[test]
    fn policies_have_marks_of_their_own() {
        let one = mark(&Egress::None);
        assert_eq!(one, mark(&Egress::None));
        assert_ne!(one, mark(&Egress::Open));
        assert_ne!(one, "0x0");
    }

    #[test]
    fn nothing_but_a_bridge_of_the_engine_gets_into_a_rule() {
        let subnet = "10.201.3.16/28".parse().unwrap();
        for bad in [
            "",
            "0123456789a",
            "0123456789abc",
            "01234 -j ACC",
            "0123456789ag",
        ] {
            assert!(
                Place::new(bad, subnet, Ipv4Addr::LOCALHOST).is_none(),
                "{bad}"
            );
        }
        assert!(
            here()
                .hook(Ambient::system().new_id())
                .starts_with("-i br-0123456789ab -j AGOUT-")
        );
    }
}
