//! Where a tool may go to from inside its container (DTMA-4).
//!
//! A catalog entry says what the tool needs ([`Egress`]); whoever deploys it may give it less, and an admin may
//! give it more. What was decided then stands in the instance, so that an entry that asks for more later
//! gets it only when somebody says so. [`destination`] is one line of an allow-list.
//!
//! Whatever the policy, a tool never reaches the machine that it runs on, another tool, or the cloud's
//! metadata service. How that is enforced is the DTMA's matter (`dtma/src/runtime/docker/egress`).

mod destination;

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::direct_access::PortProtocol;
pub use destination::{Destination, DestinationProblem, Host};

/// The most lines that an allow-list may have.
pub const MOST_DESTINATIONS: usize = 64;

/// Where a tool may go to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Egress {
    /// Wherever its machine can go, except to the machine itself, to other tools, and to the cloud's
    /// metadata service.
    #[default]
    Open,
    /// Nowhere.
    None,
    /// To these and nowhere else.
    Allow {
        /// Each as `host:port` for TCP or `host:port/udp`. A host is a name (`api.example.com`), all names
        /// below one (`*.example.com`), or an IPv4 address or network (`10.20.0.0/16`). A name that leads
        /// to a private address is followed only where a network of the list has that address.
        #[schema(value_type = Vec<String>, min_items = 1, max_items = 64)]
        to: Destinations,
    },
}

impl Egress {
    /// Whether nothing has to be listed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// The lines of the allow-list; none where there is no such list.
    pub fn destinations(&self) -> impl Iterator<Item = &Destination> {
        let list = match self {
            Self::Allow { to } => Some(to),
            Self::Open | Self::None => None,
        };
        list.into_iter().flat_map(Destinations::iter)
    }

    /// The ports at which a tool may reach the name; none: it must not even be resolved.
    #[must_use]
    pub fn ports_of(&self, name: &str) -> BTreeSet<(PortProtocol, u16)> {
        let lines = self.destinations().filter(|line| line.host.has_name(name));
        lines.map(|line| (line.protocol, line.port)).collect()
    }

    /// Whether a network of the allow-list has the address: somebody decided about that very place.
    #[must_use]
    pub fn names_address(&self, address: Ipv4Addr) -> bool {
        self.destinations()
            .any(|line| matches!(&line.host, Host::Network(network) if network.contains(&address)))
    }

    /// What of this policy goes beyond `limit`, in words; `None` if nothing does.
    #[must_use]
    pub fn beyond(&self, limit: &Self) -> Option<String> {
        match (self, limit) {
            (Self::None, _) | (_, Self::Open) => None,
            (Self::Open, _) => Some("everything".to_owned()),
            (Self::Allow { to }, _) => {
                let covered = |line: &Destination| limit.destinations().any(|it| it.covers(line));
                to.iter()
                    .find(|line| !covered(line))
                    .map(ToString::to_string)
            }
        }
    }
}

/// As it is written. Read by hand, because what serde derives would take a list beside `open` and forget it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "type")]
    kind: Kind,
    to: Option<Destinations>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Open,
    None,
    Allow,
}

impl<'de> Deserialize<'de> for Egress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        match (written.kind, written.to) {
            (Kind::Open, None) => Ok(Self::Open),
            (Kind::None, None) => Ok(Self::None),
            (Kind::Allow, Some(to)) => Ok(Self::Allow { to }),
            (Kind::Allow, None) => Err(serde::de::Error::missing_field("to")),
            (_, Some(_)) => Err(serde::de::Error::custom("`to` goes with `allow` only")),
        }
    }
}

/// For people: `open`, `none`, or the list.
impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::None => f.write_str("none"),
            Self::Allow { to } => {
                for (index, line) in to.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{line}")?;
                }
                Ok(())
            }
        }
    }
}

/// An allow-list: at least one line, each once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Destinations(BTreeSet<Destination>);

/// Why an allow-list can't be used. Each sentence says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationsProblem {
    /// It would be the policy `none`, said in a way that looks like something else.
    #[error("name at least one `host:port`, or use `none`")]
    Empty,
    /// More than a machine checks for every packet.
    #[error("{0} destinations are more than {MOST_DESTINATIONS}; use `*.example.com` or a network")]
    TooMany(usize),
    /// A line that is no destination.
    #[error(transparent)]
    Line(#[from] DestinationProblem),
}

impl Destinations {
    /// From what a person wrote.
    ///
    /// # Errors
    /// The first [`DestinationsProblem`].
    pub fn parse<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Self, DestinationsProblem> {
        let lines = texts.into_iter().map(|text| text.as_ref().parse());
        let lines = lines.collect::<Result<BTreeSet<Destination>, _>>()?;
        match lines.len() {
            0 => Err(DestinationsProblem::Empty),
            count if count > MOST_DESTINATIONS => Err(DestinationsProblem::TooMany(count)),
            _ => Ok(Self(lines)),
        }
    }

    /// Every line.
    pub fn iter(&self) -> impl Iterator<Item = &Destination> {
        self.0.iter()
    }
}

impl TryFrom<Vec<String>> for Destinations {
    type Error = DestinationsProblem;

    fn try_from(texts: Vec<String>) -> Result<Self, DestinationsProblem> {
        Self::parse(texts)
    }
}

impl From<Destinations> for Vec<String> {
    fn from(list: Destinations) -> Self {
        list.0.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests;
