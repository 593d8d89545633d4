//! References of images, `host:port/path:tag@sha256:…`, and entries made of one alone.

use std::collections::BTreeMap;

use agentopia_domain::catalog::{
    Packaging, ToolVersion, Transport, is_digest, is_registry_name, is_repository, is_tag,
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

/// How an image says that it speaks: `stdio`, `http:PORT/PATH` or `sse:PORT/PATH`.
pub const TRANSPORT_LABEL: &str = "dev.agentopia.mcp.transport";
/// The label by which images belong to servers of the MCP Registry.
const NAME_LABEL: &str = "io.modelcontextprotocol.server.name";

/// Reads `stdio`, `http:8000/mcp` or `sse:8000/sse`.
///
/// # Errors
/// Where it is none of them.
pub fn transport(text: &str) -> Result<Transport, Problem> {
    let wrong =
        || Problem::new("use stdio, http:PORT/PATH or sse:PORT/PATH, such as http:8000/mcp");
    if text == "stdio" {
        return Ok(Transport::default());
    }
    let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (port, path) = rest.split_once('/').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let path = format!("/{path}");
    match kind {
        "http" => Ok(Transport::StreamableHttp { port, path }),
        "sse" => Ok(Transport::Sse { port, path }),
        _ => Err(wrong()),
    }
}

impl Draft {
    /// Pins the versions of an image to what its tag means now.
    pub fn pinned(&mut self, reference: &Reference, digest: &str) {
        for version in &mut self.definition.versions {
            if version.digest.is_none() && version.tag == reference.tag && is_digest(digest) {
                version.digest = Some(digest.to_owned());
                self.notes.push(format!(
                    "the tag {} means {digest} now; that is what is run, whatever becomes of the tag",
                    reference.tag.as_deref().unwrap_or_default()
                ));
            }
        }
    }

    /// Puts in what an image's labels say, as far as nothing better is known.
    ///
    /// # Errors
    /// Where a label says something that can't be.
    pub fn labelled(
        &mut self,
        labels: &BTreeMap<String, String>,
        transport_is_told: bool,
    ) -> Result<(), Problem> {
        let label = |name: &str| labels.get(name).map(String::as_str);
        let mut changed = self.definition.clone();
        let described = label("org.opencontainers.image.description");
        if let Some(text) = described.filter(|_| changed.description.is_empty()) {
            changed.description = words::line(text, 2000);
        }
        let vendor = label("org.opencontainers.image.vendor");
        if let Some(text) = vendor.filter(|_| changed.developer_organisation.is_empty()) {
            changed.developer_organisation = words::line(text, 200);
        }
        let page = label("org.opencontainers.image.documentation")
            .or(label("org.opencontainers.image.url"))
            .or(label("org.opencontainers.image.source"));
        if changed.documentation_url.is_none() {
            changed.documentation_url = words::link(page);
        }
        if changed.registry_name.is_none() {
            let name = label(NAME_LABEL).filter(|name| is_registry_name(name));
            changed.registry_name = name.map(str::to_owned);
        }
        let speaks = label(TRANSPORT_LABEL).filter(|_| !transport_is_told);
        if let Some(text) = speaks {
            changed.transport = transport(text).map_err(|problem| {
                Problem::new(format!("its label {TRANSPORT_LABEL} is wrong: {problem}"))
            })?;
        }
        if changed.check().is_err() {
            return Err(Problem::new(
                "its labels say something that can't be, and were left out",
            ));
        }
        self.definition = changed;
        self.transport_is_labelled = speaks.is_some();
        Ok(())
    }

    /// Whether the image itself told how it speaks.
    #[must_use]
    pub const fn tells_transport(&self) -> bool {
        self.transport_is_labelled
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
    builder.lookup = Some(Lookup::Image {
        reference: reference.clone(),
        transport_is_told: options.transport.is_some(),
    });
    let transport = options.transport.clone().unwrap_or_default();
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
        assert!(matches!(draft.lookup, Some(Lookup::Image { .. })));
    }

    #[test]
    fn labels_and_digests_complete_an_entry() {
        let mut draft = draft("r.example/a/tool:1", &Options::default()).unwrap();
        let reference = Reference::parse("r.example/a/tool:1").unwrap();
        let digest = format!("sha256:{}", "ab".repeat(32));
        draft.pinned(&reference, &digest);
        assert_eq!(draft.definition.versions[0].digest.as_ref(), Some(&digest));
        let labels = |pairs: &[(&str, &str)]| {
            let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
            pairs.iter().map(owned).collect::<BTreeMap<_, _>>()
        };
        let good = labels(&[
            (TRANSPORT_LABEL, "http:8000/mcp"),
            (NAME_LABEL, "a.b/tool"),
            ("org.opencontainers.image.description", "Does it."),
            ("org.opencontainers.image.url", "javascript:alert(1)"),
        ]);
        draft.labelled(&good, false).unwrap();
        assert!(draft.tells_transport());
        let it = &draft.definition;
        let path = "/mcp".to_owned();
        assert_eq!(it.transport, Transport::StreamableHttp { port: 8000, path });
        assert_eq!(it.registry_name.as_deref(), Some("a.b/tool"));
        assert_eq!(
            (it.description.as_str(), &it.documentation_url),
            ("Does it.", &None)
        );
        let before = draft.definition.clone();
        for wrong in ["http", "http:0/mcp", "http:8000/a b"] {
            assert!(
                draft
                    .labelled(&labels(&[(TRANSPORT_LABEL, wrong)]), false)
                    .is_err(),
                "{wrong}"
            );
            assert_eq!(draft.definition, before);
        }
        draft
            .labelled(&labels(&[(TRANSPORT_LABEL, "sse:1/x")]), true)
            .unwrap();
        assert_eq!(draft.definition, before, "what a person said counts");
    }
}
