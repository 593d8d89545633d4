//! What goes into a request, checked before it is sent.
//!
//! DigitalOcean does not always refuse what it can't use: a droplet whose user-data held an emoji
//! was accepted and then vanished. So names, tags and user-data are types that can't hold such a
//! value.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// The most bytes that user-data may have (contract, `droplet_create.user_data`).
pub const MAX_USER_DATA: usize = 64 << 10;
/// The most characters that names and tags may have (contract).
pub const MAX_NAME: usize = 255;

/// Why a value can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A droplet's name.
    #[error(
        "the droplet name {0:?} can't be used: 1 to 255 letters, digits, '.' and '-', \
         the last one a letter or a digit"
    )]
    DropletName(String),
    /// A firewall's name.
    #[error(
        "the firewall name {0:?} can't be used: 2 to 255 letters, digits, '.' and '-', \
         the first one a letter or a digit"
    )]
    FirewallName(String),
    /// A tag.
    #[error("the tag {0:?} can't be used: 1 to 255 letters, digits, '_', '-' and ':'")]
    Tag(String),
    /// User-data that is not ASCII. What it holds is secret and so not told.
    #[error(
        "the user-data has a character that is not ASCII at byte {0}; droplets vanish with those"
    )]
    UserDataNotAscii(usize),
    /// User-data that is too long.
    #[error("the user-data has {0} bytes; at most {MAX_USER_DATA} are taken")]
    UserDataTooLong(usize),
    /// More in a firewall than it can hold.
    #[error("a firewall holds at most {limit} {what}, not {given}")]
    FirewallTooLarge {
        /// Rules, droplets or tags.
        what: &'static str,
        /// How many were given.
        given: usize,
        /// How many it holds.
        limit: usize,
    },
}

macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident, $error:ident, $check:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks it.
            ///
            /// # Errors
            /// When DigitalOcean does not take it.
            pub fn parse(text: impl Into<String>) -> Result<Self, InputError> {
                let text = text.into();
                let check: fn(&[u8]) -> bool = $check;
                if text.len() <= MAX_NAME && check(text.as_bytes()) {
                    Ok(Self(text))
                } else {
                    Err(InputError::$error(text))
                }
            }

            /// As it is sent.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InputError;

            fn try_from(text: String) -> Result<Self, InputError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

checked_text! {
    /// A droplet's name, which becomes its host name. Need not be unique.
    DropletName, DropletName,
    // Contract: ^[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]$
    |text| text.last().is_some_and(u8::is_ascii_alphanumeric) && text.iter().copied().all(host)
}
checked_text! {
    /// A firewall's name, unique in the account.
    FirewallName, FirewallName,
    // Contract: ^[a-zA-Z0-9][a-zA-Z0-9\.-]+$
    |text| text.len() > 1 && text[0].is_ascii_alphanumeric() && text.iter().copied().all(host)
}
checked_text! {
    /// A tag. Upper and lower case are the same tag to DigitalOcean.
    TagName, Tag,
    // Contract: ^[a-zA-Z0-9_\-\:]+$
    |text| !text.is_empty()
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-:".contains(byte))
}

impl TagName {
    /// Whether a tag that was read is this one.
    #[must_use]
    pub fn is(&self, tag: &str) -> bool {
        self.0.eq_ignore_ascii_case(tag)
    }
}

fn host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-'
}

/// What a new droplet runs at its first start. It holds an enrolment token and is never shown.
#[derive(Debug, Clone)]
pub struct UserData(SecretString);

impl UserData {
    /// Checks it.
    ///
    /// # Errors
    /// When it is longer than [`MAX_USER_DATA`] bytes or not ASCII.
    pub fn parse(text: SecretString) -> Result<Self, InputError> {
        let bytes = text.expose_secret().as_bytes();
        if bytes.len() > MAX_USER_DATA {
            return Err(InputError::UserDataTooLong(bytes.len()));
        }
        match bytes.iter().position(|byte| !byte.is_ascii()) {
            Some(at) => Err(InputError::UserDataNotAscii(at)),
            None => Ok(Self(text)),
        }
    }
}

/// For the body of the request that creates the droplet, the one place where it goes.
impl Serialize for UserData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_patterns_of_the_contract() {
        let long = "a".repeat(255);
        for name in ["a", "web-01.example.com", "-a", ".a", &long] {
            assert!(DropletName::parse(name).is_ok(), "{name}");
        }
        let too_long = "a".repeat(256);
        for name in ["", "under_score", "a-", "a.", "a b", "ä", "a\n", &too_long] {
            assert!(DropletName::parse(name).is_err(), "{name}");
        }
        for name in ["fw", "env-1.base", "a."] {
            assert!(FirewallName::parse(name).is_ok(), "{name}");
        }
        for name in ["", "f", "-fw", "f_w", "f:w"] {
            assert!(FirewallName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn tags_follow_the_pattern_of_the_contract() {
        for tag in ["env:0199-af", "a_b", "A", ":"] {
            assert!(TagName::parse(tag).is_ok(), "{tag}");
        }
        for tag in ["", "a.b", "a b", "здорово", "a/b", "a\n"] {
            assert!(TagName::parse(tag).is_err(), "{tag}");
        }
        assert!(TagName::parse("Env:A").unwrap().is("eNV:a"));
        assert!(serde_json::from_str::<TagName>(r#""a b""#).is_err());
    }

    #[test]
    fn user_data_is_short_ascii_text() {
        let parse = |text: &str| UserData::parse(SecretString::from(text)).map(drop);
        assert_eq!(parse("#cloud-config\n"), Ok(()));
        assert_eq!(parse(&"a".repeat(MAX_USER_DATA)), Ok(()));
        assert_eq!(
            parse(&"a".repeat(MAX_USER_DATA + 1)),
            Err(InputError::UserDataTooLong(MAX_USER_DATA + 1))
        );
        assert_eq!(parse("ab🦀"), Err(InputError::UserDataNotAscii(2)));
    }

    #[test]
    fn user_data_is_never_shown() {
        let data = UserData::parse(SecretString::from("enr_canary")).unwrap();
        assert!(!format!("{data:?}").contains("canary"));
    }
}
