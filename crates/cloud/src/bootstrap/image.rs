//! The name of a container image that has the management agent in it.

use std::fmt;

/// `HOST/PATH:TAG@sha256:DIGEST`, of which tag and digest can be missing. It ends up in a shell's
/// variable, so it has no character beyond those that names of images have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentImage(String);

/// It is no name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a container image; use one like \
     registry.example.com/agentopia/dtma@sha256:0123… with the 64 hexadecimal digits of its digest"
)]
pub struct NoImage(String);

/// The longest name.
const LONGEST: usize = 512;
const DIGEST: &str = "@sha256:";

impl AgentImage {
    /// Reads a name.
    ///
    /// # Errors
    /// When it can't be one.
    pub fn parse(text: &str) -> Result<Self, NoImage> {
        let (name, digest) = match text.split_once('@') {
            Some((name, _)) => (name, Some(&text[name.len()..])),
            None => (text, None),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte);
        let named = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
            && name.bytes().all(plain)
            && text.len() <= LONGEST;
        let pinned = digest.is_none_or(|digest| {
            let digits = digest.strip_prefix(DIGEST).unwrap_or_default();
            let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            digits.len() == 64 && digits.bytes().all(hex)
        });
        if named && pinned {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoImage(text.to_owned()))
        }
    }

    /// Whether every machine gets the same image, whoever pushes another one under its name.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.0.contains(DIGEST)
    }
}

impl fmt::Display for AgentImage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_and_nothing_else() {
        let digest = "ab".repeat(32);
        let pinned = format!("10.77.0.1:5443/agentopia/dtma:1.2@sha256:{digest}");
        assert!(AgentImage::parse(&pinned).unwrap().is_pinned());
        assert!(
            !AgentImage::parse("agentopia/dtma:latest")
                .unwrap()
                .is_pinned()
        );
        for bad in [
            "",
            "-v/:/host",
            "a b",
            "a';reboot;'",
            "a$(reboot)",
            "a\nb",
            "a@sha256:12",
            "a@md5:0123",
            &format!("a@sha256:{}", "g".repeat(64)),
            &format!("a@sha256:{}@sha256:{digest}", digest),
            &"a".repeat(513),
        ] {
            assert!(AgentImage::parse(bad).is_err(), "{bad}");
        }
    }
}
