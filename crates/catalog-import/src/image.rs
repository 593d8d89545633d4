//! References of images, `host:port/path:tag@sha256:…`, and entries made of one alone.

use agentopia_domain::catalog::{
    Packaging, ToolVersion, Transport, is_digest, is_repository, is_tag,
};

use crate::build::{Builder, version};
use crate::{Draft, Lookup, Options, Problem, words};

/// An image that somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Without tag and digest.
    pub repository: String,
    /// The tag; `latest` where neither tag nor digest was given.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// Where it is none; the text says what one looks like.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = || {
            Problem::new(format!(
                "`{}` is no image: write host/path:tag or host/path@sha256:…, in lower case",
                words::line(text, 100)
            ))
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the host's port.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (rest, None),
        };
        let fits =
            is_repository(repository) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
        if !fits {
            return Err(wrong());
        }
        let tag = tag.map(str::to_owned);
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.or_else(|| digest.is_none().then(|| "latest".to_owned())),
            digest: digest.map(str::to_owned),
        })
    }

    /// Its version in the catalog: named by the tag, or by the digest's beginning.
    pub(crate) fn version(&self) -> ToolVersion {
        let hex = self.digest.as_deref().and_then(|it| it.split_once(':'));
        let short = hex.map(|(_, hex)| hex.chars().take(12).collect::<String>());
        let name = self.tag.clone().or(short).unwrap_or_default();
        ToolVersion {
            tag: self.tag.clone(),
            digest: self.digest.clone(),
            ..version(&name)
        }
    }
}

/// An entry of an image that nothing else is known of.
///
/// # Errors
/// Where the reference is none.
pub fn draft(text: &str, options: &Options) -> Result<Draft, Problem> {
    let reference = Reference::parse(text)?;
    let last = words::last_part(&reference.repository);
    let mut builder = Builder {
        slug: words::slug(last)?,
        name: last.to_owned(),
        ..Builder::default()
    };
    let transport = match &options.transport {
        Some(transport) => transport.clone(),
        None => {
            builder.lookup = Some(Lookup::Image(reference.clone()));
            Transport::default()
        }
    };
    let version = reference.version();
    let image = reference.repository;
    builder.finish(Packaging::DockerImage { image }, transport, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let parsed = |text: &str| {
            let it = Reference::parse(text).unwrap();
            (it.repository, it.tag, it.digest)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            parsed("mcp/time"),
            ("mcp/time".into(), some("latest"), None)
        );
        assert_eq!(
            parsed("127.0.0.1:5000/a/b:1.0"),
            ("127.0.0.1:5000/a/b".into(), some("1.0"), None)
        );
        assert_eq!(
            parsed(&format!("host.example/a:1@{digest}")),
            ("host.example/a".into(), some("1"), Some(digest.clone()))
        );
        assert_eq!(
            parsed(&format!("a@{digest}")),
            ("a".into(), None, Some(digest))
        );
        for bad in [
            "",
            "A/B",
            "a b",
            "a:b:c",
            "a@sha256:1",
            "a;b",
            "$(x)",
            "a:",
            "-a",
            "a/../b",
            "http://a/b",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_image_alone_is_an_entry_that_speaks_stdio_unless_told() {
        let draft = draft("127.0.0.1:5000/agentopia/echo:1.0", &Options::default()).unwrap();
        assert_eq!(draft.definition.slug, "echo");
        assert_eq!(draft.definition.default_version, "1.0");
        assert!(matches!(
            draft.definition.transport,
            Transport::Stdio { .. }
        ));
        assert!(matches!(draft.lookup, Some(Lookup::Image(_))));
    }
}
