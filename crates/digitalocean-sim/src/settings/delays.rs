//! How long transitions take: a range each, from which the seed draws.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A range of time, written `2s..5s`, or `3s` where there is nothing to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Delay {
    /// At least this long.
    pub least: Duration,
    /// At most this long.
    pub most: Duration,
}

/// A text that is no [`Delay`].
#[derive(Debug, thiserror::Error)]
pub enum DelayError {
    /// One of its ends is no duration.
    #[error("{text:?} is no duration such as 500ms, 30s or 2m")]
    Duration {
        /// The end in question.
        text: String,
        /// Why.
        source: humantime::DurationError,
    },
    /// Its end lies before its beginning.
    #[error("{0:?} ends before it begins")]
    Backwards(String),
}

impl Delay {
    /// No time at all.
    pub const ZERO: Self = Self::exactly(Duration::ZERO);

    /// Always the same.
    #[must_use]
    pub const fn exactly(duration: Duration) -> Self {
        Self {
            least: duration,
            most: duration,
        }
    }

    /// Between two numbers of seconds.
    #[must_use]
    pub const fn seconds(least: u64, most: u64) -> Self {
        Self {
            least: Duration::from_secs(least),
            most: Duration::from_secs(most),
        }
    }
}

impl FromStr for Delay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let end = |text: &str| {
            humantime::parse_duration(text.trim()).map_err(|source| DelayError::Duration {
                text: text.trim().to_owned(),
                source,
            })
        };
        let (least, most) = match text.split_once("..") {
            Some((least, most)) => (end(least)?, end(most)?),
            None => (end(text)?, end(text)?),
        };
        if most < least {
            return Err(DelayError::Backwards(text.to_owned()));
        }
        Ok(Self { least, most })
    }
}

impl TryFrom<String> for Delay {
    type Error = DelayError;

    fn try_from(text: String) -> Result<Self, DelayError> {
        text.parse()
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.least))?;
        if self.most != self.least {
            write!(f, "..{}", humantime::format_duration(self.most))?;
        }
        Ok(())
    }
}

impl From<Delay> for String {
    fn from(delay: Delay) -> Self {
        delay.to_string()
    }
}

/// How long each transition takes. The defaults are what people report of DigitalOcean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delays {
    /// From the request to a droplet that is `active`.
    pub create: Delay,
    /// From `active` to a public address in `networks`.
    pub address: Delay,
    /// `power_on`, `power_off`, `power_cycle`, `reboot`.
    pub power: Delay,
    /// `shutdown`.
    pub shutdown: Delay,
    /// `resize`.
    pub resize: Delay,
    /// Any other action.
    pub other_action: Delay,
    /// From a completed power action to a `status` that shows it.
    pub status: Delay,
    /// From the deletion's 204 to a 404.
    pub delete: Delay,
    /// How long a new droplet is missing in lists by tag, and a deleted one still in them.
    pub tag_list: Delay,
    /// The same for all other lists.
    pub list: Delay,
    /// From a change of a firewall to `succeeded`.
    pub firewall: Delay,
    /// From a custom image's request to `available`.
    pub image: Delay,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            create: Delay::seconds(15, 45),
            address: Delay::seconds(0, 5),
            power: Delay::seconds(3, 10),
            shutdown: Delay::seconds(5, 20),
            resize: Delay::seconds(30, 120),
            other_action: Delay::seconds(2, 10),
            status: Delay::seconds(0, 2),
            delete: Delay::seconds(1, 10),
            tag_list: Delay::seconds(0, 3),
            list: Delay::ZERO,
            firewall: Delay::seconds(1, 5),
            image: Delay::seconds(30, 90),
        }
    }
}

impl Delays {
    /// Everything is done by the next request.
    #[must_use]
    pub const fn none() -> Self {
        let zero = Delay::ZERO;
        Self {
            create: zero,
            address: zero,
            power: zero,
            shutdown: zero,
            resize: zero,
            other_action: zero,
            status: zero,
            delete: zero,
            tag_list: zero,
            list: zero,
            firewall: zero,
            image: zero,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_read_and_written_the_same_way() {
        for text in ["0s", "3s", "500ms..2m"] {
            assert_eq!(text.parse::<Delay>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_named() {
        let said = |text: &str| text.parse::<Delay>().unwrap_err().to_string();
        assert_eq!(said("5s..2s"), r#""5s..2s" ends before it begins"#);
        assert!(said("soon").starts_with(r#""soon" is no duration"#));
    }
}
