//! What a person names to be imported.

use agentopia_domain::catalog::package::PackageRegistry;
use url::Url;

use crate::Problem;

/// Where something comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `registry:https://host/base`: everything in an MCP registry, or what is asked for.
    Registry(Url),
    /// An address of a `server.json`, of an answer of a registry, or of a file with `mcpServers`.
    Document(Url),
    /// The address of a server that runs elsewhere.
    Server(Url),
    /// `npm:…` or `pypi:…`.
    Package(PackageRegistry, String),
    /// A reference of an image.
    Image(String),
}

impl Source {
    /// Reads a source.
    ///
    /// # Errors
    /// Where nothing of the kind is known.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        let url = |text: &str| {
            Url::parse(text)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
                .ok_or_else(|| Problem::new("its address is none: write https://host/path"))
        };
        if let Some(rest) = text.strip_prefix("registry:") {
            return Ok(Self::Registry(url(rest)?));
        }
        if let Some(rest) = text.strip_prefix("npm:") {
            return Ok(Self::Package(PackageRegistry::Npm, rest.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("pypi:") {
            return Ok(Self::Package(PackageRegistry::Pypi, rest.to_owned()));
        }
        for prefix in ["docker:", "oci:"] {
            if let Some(rest) = text.strip_prefix(prefix) {
                let rest = rest.trim_start_matches("//");
                return Ok(Self::Image(rest.to_owned()));
            }
        }
        if text.contains("://") {
            let url = url(text)?;
            let path = url.path();
            let is_document = path.ends_with(".json")
                || ["/v0/servers/", "/v0.1/servers/"]
                    .iter()
                    .any(|part| path.contains(part));
            return Ok(if is_document {
                Self::Document(url)
            } else {
                Self::Server(url)
            });
        }
        Ok(Self::Image(text.to_owned()))
    }
}

/// An address of a registry's API: `base` without `/v0.1/servers` or with it.
#[must_use]
pub fn registry_address(base: &Url, path: &[&str], query: &[(&str, &str)]) -> Option<Url> {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    let kept = base.path().trim_end_matches('/');
    let kept = ["/v0.1/servers", "/v0/servers", "/v0.1", "/v0"]
        .iter()
        .find_map(|end| kept.strip_suffix(end))
        .unwrap_or(kept)
        .to_owned();
    url.set_path(&kept);
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(["v0.1", "servers"])
        .extend(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_says_what_it_is() {
        let url = |text: &str| Url::parse(text).unwrap();
        for (text, source) in [
            (
                "registry:https://r.example",
                Source::Registry(url("https://r.example")),
            ),
            (
                "npm:@a/b@1",
                Source::Package(PackageRegistry::Npm, "@a/b@1".into()),
            ),
            ("pypi:a", Source::Package(PackageRegistry::Pypi, "a".into())),
            (
                "https://a.example/server.json",
                Source::Document(url("https://a.example/server.json")),
            ),
            (
                "https://a.example/mcp",
                Source::Server(url("https://a.example/mcp")),
            ),
            ("docker:mcp/time", Source::Image("mcp/time".into())),
            ("host.example/a:1", Source::Image("host.example/a:1".into())),
        ] {
            assert_eq!(Source::parse(text).unwrap(), source);
        }
        for bad in ["registry:x", "ftp://a.example/x", "https://"] {
            assert!(Source::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_registrys_address_is_made_of_what_people_copy() {
        for base in [
            "https://r.example",
            "https://r.example/",
            "https://r.example/v0.1/servers?limit=1",
            "https://r.example/v0",
        ] {
            let base = Url::parse(base).unwrap();
            let made =
                registry_address(&base, &["a.b/c", "versions"], &[("search", "x&y")]).unwrap();
            assert_eq!(
                made.as_str(),
                "https://r.example/v0.1/servers/a.b%2Fc/versions?search=x%26y"
            );
        }
    }
}
