//! The ports of a rule, with one way to say "all" where DigitalOcean has three.
//!
//! `all`, `0` and nothing mean the same when they are sent, and all are read back as `0`. Compared
//! as text, a rule would differ from itself for ever and be written anew on every look.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Ports {
    /// All of them; also what ICMP has, where there are none.
    #[default]
    All,
    /// From the first to the last one, both included.
    Range {
        /// The first.
        first: u16,
        /// The last.
        last: u16,
    },
    /// What this version does not know, as it came.
    Other(String),
}

impl Ports {
    /// One port.
    #[must_use]
    pub fn one(port: u16) -> Self {
        Self::Range {
            first: port,
            last: port,
        }
    }

    fn read(text: &str) -> Self {
        let text = text.trim();
        if matches!(text, "" | "0" | "all") {
            return Self::All;
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => Self::Range { first, last },
            _ => Self::Other(text.to_owned()),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("0"),
            Self::Range { first, last } if first == last => write!(formatter, "{first}"),
            Self::Range { first, last } => write!(formatter, "{first}-{last}"),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(Self::read(&text.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_all_however_it_is_written() {
        for text in ["\"0\"", "\"all\"", "\"\"", "null"] {
            assert_eq!(
                serde_json::from_str::<Ports>(text).unwrap(),
                Ports::All,
                "{text}"
            );
        }
        assert_eq!(serde_json::to_string(&Ports::All).unwrap(), "\"0\"");
    }

    #[test]
    fn what_is_read_is_written_back_the_same() {
        let range = Ports::Range {
            first: 8000,
            last: 9000,
        };
        for (text, ports) in [
            ("80", Ports::one(80)),
            ("8000-9000", range),
            (
                "1-65535",
                Ports::Range {
                    first: 1,
                    last: 65535,
                },
            ),
            ("http", Ports::Other("http".into())),
            ("80-x", Ports::Other("80-x".into())),
            ("99999", Ports::Other("99999".into())),
        ] {
            assert_eq!(Ports::read(text), ports);
            assert_eq!(ports.to_string(), text);
        }
    }
}
