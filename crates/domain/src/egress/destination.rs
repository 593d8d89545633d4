//! One line of an allow-list: a host and a port.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::direct_access::PortProtocol;

/// The longest name that DNS has (RFC 1035).
const LONGEST_NAME: usize = 253;
/// The longest part of one.
const LONGEST_LABEL: usize = 63;

/// A place that a tool may reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Where.
    pub host: Host,
    /// At which port.
    pub port: u16,
    /// Speaking what.
    pub protocol: PortProtocol,
}

/// The host of a destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// This name, in lower case.
    Name(String),
    /// Every name below this one, but not itself.
    Below(String),
    /// Every address of a network; an address is the network of it alone.
    Network(Ipv4Net),
}

/// Why a line can't be used. Each sentence says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationProblem {
    /// No port, or none that there is.
    #[error(
        "{0:?} has no port: write `host:port`, such as `api.example.com:443` or `10.0.0.7:53/udp`"
    )]
    Port(String),
    /// A host that is neither a name nor a network.
    #[error(
        "{0:?} is no host: use a name such as `api.example.com` (in ASCII, without scheme and path), \
         `*.example.com`, an IPv4 address or a network such as 10.20.0.0/16"
    )]
    Host(String),
    /// An asterisk for more than somebody's domain.
    #[error(
        "{0:?} is too wide: name the domain below which all are allowed, as in `*.example.com`"
    )]
    Wide(String),
    /// An address with a length that cuts it off: what was meant can't be known.
    #[error("{0:?} names an address inside of a network: write {1} for all of it")]
    HostBits(String, Ipv4Net),
    /// Containers have no IPv6.
    #[error("{0:?}: tools have no IPv6; name the host, or its IPv4 address")]
    V6(String),
    /// What no policy lets a tool reach.
    #[error(
        "{0:?}: a tool never reaches the machine that it runs on, the cloud's metadata service, or \
         many hosts at once"
    )]
    Never(String),
}

impl Host {
    /// Whether the name is this host's. In lower case, without a dot at its end.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Below(domain) => is_below(name, domain),
            Self::Network(_) => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Name(name)) => self.has_name(name),
            (Self::Below(own), Self::Below(other)) => own == other || is_below(other, own),
            (Self::Network(own), Self::Network(other)) => own.contains(other),
            _ => false,
        }
    }

    fn parse(text: &str, line: &str) -> Result<Self, DestinationProblem> {
        let line = || line.to_owned();
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if bare
            .split('/')
            .next()
            .is_some_and(|it| it.parse::<Ipv6Addr>().is_ok())
        {
            return Err(DestinationProblem::V6(line()));
        }
        if text.contains('/') || text.parse::<Ipv4Addr>().is_ok() {
            let network: Ipv4Net = match text.parse::<Ipv4Addr>() {
                Ok(address) => address.into(),
                Err(_) => text.parse().map_err(|_| DestinationProblem::Host(line()))?,
            };
            if network.trunc() != network {
                return Err(DestinationProblem::HostBits(line(), network.trunc()));
            }
            if NEVER.iter().any(|never| never.contains(&network)) {
                return Err(DestinationProblem::Never(line()));
            }
            return Ok(Self::Network(network));
        }
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        if let Some(domain) = name.strip_prefix("*.") {
            return match domain.contains('.') && is_name(domain) {
                true => Ok(Self::Below(domain.to_owned())),
                false if is_name(domain) => Err(DestinationProblem::Wide(line())),
                false => Err(DestinationProblem::Host(line())),
            };
        }
        match name {
            "*" => Err(DestinationProblem::Wide(line())),
            "localhost" => Err(DestinationProblem::Never(line())),
            _ if is_name(name) => Ok(Self::Name(name.to_owned())),
            _ => Err(DestinationProblem::Host(line())),
        }
    }
}

/// The machine itself, the link with the metadata service, and many at once.
const NEVER: [Ipv4Net; 4] = [
    Ipv4Net::new_assert(Ipv4Addr::new(0, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 3),
];

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// Letters, digits, dashes and underscores (some services have them) in labels. Not all digits at its
/// end, or it could be read as an address by one program and as a name by another.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= LONGEST_NAME
        && text.split('.').all(label)
        && !last.bytes().all(|b| b.is_ascii_digit())
        && !last.starts_with("0x")
}

impl Destination {
    /// Whether this line lets through everything that `other` does.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.port == other.port && self.protocol == other.protocol && self.host.covers(&other.host)
    }
}

impl FromStr for Destination {
    type Err = DestinationProblem;

    fn from_str(text: &str) -> Result<Self, DestinationProblem> {
        let line = text.trim();
        if line.len() > LONGEST_NAME + 16 {
            let start: String = line.chars().take(40).collect();
            return Err(DestinationProblem::Host(format!("{start}…")));
        }
        let no_port = || DestinationProblem::Port(line.to_owned());
        let (place, protocol) = match line.strip_suffix("/udp") {
            Some(place) => (place, PortProtocol::Udp),
            None => (line.strip_suffix("/tcp").unwrap_or(line), PortProtocol::Tcp),
        };
        // Before the port is looked for, or the end of an IPv6 address is one.
        if place.parse::<Ipv6Addr>().is_ok() {
            return Err(DestinationProblem::V6(line.to_owned()));
        }
        let (host, port) = place.rsplit_once(':').ok_or_else(no_port)?;
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0);
        Ok(Self {
            host: Host::parse(host, line)?,
            port: port.ok_or_else(no_port)?,
            protocol,
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => f.write_str(name)?,
            Host::Below(domain) => write!(f, "*.{domain}")?,
            Host::Network(network) if network.prefix_len() == 32 => {
                write!(f, "{}", network.addr())?
            }
            Host::Network(network) => write!(f, "{network}")?,
        }
        write!(f, ":{}", self.port)?;
        match self.protocol {
            PortProtocol::Tcp => Ok(()),
            PortProtocol::Udp => f.write_str("/udp"),
        }
    }
}
