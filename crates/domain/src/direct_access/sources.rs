//! The networks from which a port may be reached.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The most networks that one port may be reached from: each may take a rule of its own in a
/// firewall, and one of DigitalOcean's has 50.
pub const MOST_SOURCES: usize = super::MOST_RULES;

/// At least one network, each written in the one way that it can be written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Sources(BTreeSet<IpNet>);

/// Why a list of networks can't be used. Each sentence says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourcesProblem {
    /// Nobody could reach the port.
    #[error(
        "name at least one network that may reach the port, such as 203.0.113.0/24; 0.0.0.0/0 and \
         ::/0 are everybody"
    )]
    Empty,
    /// More than a firewall has rules.
    #[error(
        "{0} networks are more than the {MOST_SOURCES} that a firewall takes; join some of them"
    )]
    TooMany(usize),
    /// A text that is no network.
    #[error("{0:?} is neither an address nor a network such as 203.0.113.0/24 or 2001:db8::/32")]
    NoNetwork(String),
    /// An address with a length that cuts it off: what was meant can't be known.
    #[error(
        "{given} names an address inside of a network; write {network} for all of it, or {address} for that address alone"
    )]
    HostBits {
        /// As it was written.
        given: String,
        /// The network around it.
        network: IpNet,
        /// The address alone.
        address: IpAddr,
    },
}

/// A network, or an address as the network of it alone.
///
/// # Errors
/// [`SourcesProblem::NoNetwork`] and [`SourcesProblem::HostBits`].
pub fn range(text: &str) -> Result<IpNet, SourcesProblem> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network: IpNet = text
        .parse()
        .map_err(|_| SourcesProblem::NoNetwork(text.to_owned()))?;
    if network.trunc() != network {
        return Err(SourcesProblem::HostBits {
            given: text.to_owned(),
            network: network.trunc(),
            address: network.addr(),
        });
    }
    Ok(network)
}

impl Sources {
    /// From what a person wrote.
    ///
    /// # Errors
    /// The first [`SourcesProblem`].
    pub fn parse<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Self, SourcesProblem> {
        let networks = texts.into_iter().map(|text| range(text.as_ref()));
        let networks = networks.collect::<Result<BTreeSet<_>, _>>()?;
        match networks.len() {
            0 => Err(SourcesProblem::Empty),
            count if count > MOST_SOURCES => Err(SourcesProblem::TooMany(count)),
            _ => Ok(Self(networks)),
        }
    }

    /// Every network.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// The first network that lies in none of `allowed`.
    #[must_use]
    pub fn outside(&self, allowed: &[IpNet]) -> Option<&IpNet> {
        self.0
            .iter()
            .find(|network| !allowed.iter().any(|range| range.contains(*network)))
    }
}

impl TryFrom<Vec<String>> for Sources {
    type Error = SourcesProblem;

    fn try_from(texts: Vec<String>) -> Result<Self, SourcesProblem> {
        Self::parse(texts)
    }
}

impl From<Sources> for Vec<String> {
    fn from(sources: Sources) -> Self {
        sources.0.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_taken_and_written_in_one_way() {
        let sources = Sources::parse([
            " 203.0.113.7",
            "10.0.0.0/8",
            "2001:DB8::/32",
            "::1",
            "10.0.0.0/8",
        ]);
        let written = Vec::from(sources.unwrap());
        assert_eq!(
            written,
            ["10.0.0.0/8", "203.0.113.7/32", "::1/128", "2001:db8::/32"]
        );
        let everybody = Sources::parse(["0.0.0.0/0", "::/0"]).unwrap();
        assert_eq!(Vec::from(everybody), ["0.0.0.0/0", "::/0"]);
    }

    #[test]
    fn nobody_too_many_and_nonsense_are_refused_with_what_to_write() {
        assert_eq!(Sources::parse::<&str>([]), Err(SourcesProblem::Empty));
        let many = (0..=50).map(|n| format!("10.0.0.{n}"));
        assert_eq!(Sources::parse(many), Err(SourcesProblem::TooMany(51)));
        for bad in [
            "",
            "everybody",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.1/",
            "1.2.3.4/-1",
            "*",
        ] {
            let refused = Sources::parse([bad]);
            assert!(
                matches!(refused, Err(SourcesProblem::NoNetwork(_))),
                "{bad}"
            );
        }
        let refused = Sources::parse(["10.1.2.3/8"]).unwrap_err().to_string();
        assert!(
            refused.contains("write 10.0.0.0/8") && refused.contains("or 10.1.2.3 for"),
            "{refused}"
        );
    }

    #[test]
    fn what_was_stored_is_checked_when_it_is_read() {
        let sources: Sources = serde_json::from_str(r#"["10.0.0.0/8"]"#).unwrap();
        assert_eq!(
            serde_json::to_string(&sources).unwrap(),
            r#"["10.0.0.0/8"]"#
        );
        assert!(serde_json::from_str::<Sources>("[]").is_err());
    }

    #[test]
    fn a_network_lies_in_another_of_its_own_kind_only() {
        let allowed = ["10.0.0.0/8", "::/0"].map(|text| range(text).unwrap());
        let inside = Sources::parse(["10.2.0.0/16", "10.0.0.0/8", "2001:db8::1"]).unwrap();
        assert_eq!(inside.outside(&allowed), None);
        let outside = Sources::parse(["10.2.0.0/16", "0.0.0.0/0"]).unwrap();
        assert_eq!(
            outside.outside(&allowed),
            Some(&range("0.0.0.0/0").unwrap())
        );
        assert!(inside.outside(&[]).is_some(), "none is allowed");
    }
}
