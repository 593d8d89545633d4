//! An address that a person entered and that may be tried: parsed once, by one parser.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use crate::connect::Origin;

/// Longer addresses are refused.
const MAX_LENGTH: usize = 2048;

/// An `http` or `https` address with a host and without credentials. All spellings of a literal
/// address (decimal, octal, hexadecimal, shortened) are the same one after parsing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteUrl(Url);

/// Why a text is no address that may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// No parser takes it.
    #[error("is no address: write https://host/path")]
    NoUrl,
    /// `ftp`, `file`, `gopher` and the like.
    #[error("has to begin with https://")]
    Scheme,
    /// A name or password before the host.
    #[error("must hold no user and no password: they would be shown wherever the address is")]
    Credentials,
    /// A part after `#`.
    #[error("must have no part after `#`: it is never sent")]
    Fragment,
    /// Port 0.
    #[error("names port 0, where nobody can listen")]
    Port,
    /// Longer than anybody's address.
    #[error("is longer than 2048 bytes")]
    TooLong,
}

impl RemoteUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// See [`UrlProblem`].
    pub fn parse(text: &str) -> Result<Self, UrlProblem> {
        if text.len() > MAX_LENGTH {
            return Err(UrlProblem::TooLong);
        }
        Self::new(Url::parse(text).map_err(|_| UrlProblem::NoUrl)?)
    }

    /// The same of one that is parsed already.
    ///
    /// # Errors
    /// See [`UrlProblem`].
    pub fn new(url: Url) -> Result<Self, UrlProblem> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlProblem::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlProblem::Credentials);
        }
        if url.fragment().is_some() {
            return Err(UrlProblem::Fragment);
        }
        if url.as_str().len() > MAX_LENGTH {
            return Err(UrlProblem::TooLong);
        }
        match (url.host(), url.port_or_known_default()) {
            (None, _) | (Some(Host::Domain("")), _) => Err(UrlProblem::NoUrl),
            (_, None | Some(0)) => Err(UrlProblem::Port),
            _ => Ok(Self(url)),
        }
    }

    /// The address as it was parsed.
    #[must_use]
    pub const fn as_url(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port: whom a credential is for.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin::of(&self.0)
    }

    /// What a server calls `reference`, which has to be at the server itself: whoever let a server
    /// name another one would call that with the credentials for the first. `None` where it is
    /// anything else.
    #[must_use]
    pub fn join(&self, reference: &str) -> Option<Self> {
        let joined = Self::new(self.0.join(reference).ok()?).ok()?;
        (joined.origin() == self.origin()).then_some(joined)
    }

    /// What stands in the first line of a request.
    pub(crate) fn path_and_query(&self) -> &str {
        &self.0[url::Position::BeforePath..url::Position::AfterQuery]
    }

    /// What stands in `Host`.
    pub(crate) fn authority(&self) -> &str {
        &self.0[url::Position::BeforeHost..url::Position::AfterPort]
    }
}

impl FromStr for RemoteUrl {
    type Err = UrlProblem;

    fn from_str(text: &str) -> Result<Self, UrlProblem> {
        Self::parse(text)
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_tried_are_taken() {
        let url = RemoteUrl::parse("HTTPS://Tools.Example:443/mcp?a=1").unwrap();
        assert_eq!(url.to_string(), "https://tools.example/mcp?a=1");
        assert_eq!(url.authority(), "tools.example");
        assert_eq!(url.path_and_query(), "/mcp?a=1");
        let url = RemoteUrl::parse("http://[::1]:8080").unwrap();
        assert_eq!(url.authority(), "[::1]:8080");
        assert_eq!(url.path_and_query(), "/");
    }

    #[test]
    fn other_schemes_credentials_and_nonsense_are_refused() {
        use UrlProblem as P;
        for (text, problem) in [
            ("tools.example/mcp", P::NoUrl),
            ("https://", P::NoUrl),
            ("https://999.1.1.1.1/", P::NoUrl),
            ("https://1.2.3.4.5/", P::NoUrl),
            ("https://[fe80::1%25eth0]/", P::NoUrl),
            ("file:///etc/passwd", P::Scheme),
            ("gopher://tools.example/", P::Scheme),
            ("javascript:alert(1)", P::Scheme),
            ("https://user@tools.example/", P::Credentials),
            ("https://:pass@tools.example/", P::Credentials),
            ("https://tools.example@127.0.0.1/", P::Credentials),
            ("https://tools.example/#x", P::Fragment),
            ("https://tools.example:0/", P::Port),
        ] {
            assert_eq!(RemoteUrl::parse(text), Err(problem), "{text}");
        }
        let long = format!("https://tools.example/{}", "a".repeat(MAX_LENGTH));
        assert_eq!(RemoteUrl::parse(&long), Err(P::TooLong));
    }

    #[test]
    fn every_spelling_of_a_literal_address_is_that_address() {
        for text in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://0177.0.0.01/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://%31%32%37.0.0.1/",
            "http://①②⑦.0.0.1/",
            "http://127。0。0。1/",
        ] {
            let url = RemoteUrl::parse(text).unwrap();
            assert_eq!(url.authority(), "127.0.0.1", "{text}");
        }
        let mapped = RemoteUrl::parse("http://[0:0:0:0:0:ffff:127.0.0.1]/").unwrap();
        assert_eq!(mapped.authority(), "[::ffff:7f00:1]");
    }

    #[test]
    fn what_a_server_names_has_to_be_at_the_server() {
        let base = RemoteUrl::parse("https://tools.example/sse").unwrap();
        let joined = base.join("/messages?session=1").unwrap();
        assert_eq!(
            joined.to_string(),
            "https://tools.example/messages?session=1"
        );
        assert!(base.join("https://tools.example:443/m").is_some());
        for foreign in [
            "https://evil.example/messages",
            "//evil.example/messages",
            "http://tools.example/messages",
            "https://tools.example:8443/messages",
            "https://user@tools.example/messages",
            "\\\\evil.example\\messages",
            "file:///etc/passwd",
        ] {
            assert_eq!(base.join(foreign), None, "{foreign}");
        }
    }
}
