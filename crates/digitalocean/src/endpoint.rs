//! Where the API is, and which addresses may be sent the token.

use http::Uri;
use url::Url;

/// The only version that there is.
const VERSION: &str = "v2";

/// The API's address: an origin without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why an address can't be that of the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No address at all, or one with a path, a query or a password.
    #[error("{0:?} is not of the form https://host or https://host:port")]
    Malformed(String),
    /// Plain HTTP over a network.
    #[error("{0:?} would send the token in the clear; use https, or http to this machine only")]
    InTheClear(String),
}

impl Endpoint {
    /// Checks an address. Plain HTTP is taken for this very machine only, where simulators run.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn parse(address: &str) -> Result<Self, EndpointError> {
        let malformed = || EndpointError::Malformed(address.to_owned());
        let url = Url::parse(address).map_err(|_| malformed())?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        match url.scheme() {
            "https" | "http" if !bare => Err(malformed()),
            "https" => Ok(Self(url)),
            "http" if is_loopback(&url) => Ok(Self(url)),
            "http" => Err(EndpointError::InTheClear(address.to_owned())),
            _ => Err(malformed()),
        }
    }

    /// DigitalOcean's own.
    #[must_use]
    pub fn production() -> Self {
        // The address is known to parse; a test calls this.
        Self::parse("https://api.digitalocean.com").unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// Whether it is plain HTTP.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// The address of a resource. Segments are escaped: none can leave its place.
    pub(crate) fn url(&self, path: &[String], query: &[(&'static str, String)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push(VERSION).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The address behind a link of an answer, if it is on this very origin and of this API:
    /// whoever could write links into answers must not be sent the token.
    pub(crate) fn follow(&self, link: &str) -> Option<Url> {
        let url = self.0.join(link).ok()?;
        let ours = url.origin() == self.0.origin()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path_segments()?.next() == Some(VERSION);
        ours.then_some(url)
    }
}

/// As the transport takes it. What [`Url`] writes is plain ASCII, but its grammar is wider.
pub(crate) fn uri(url: &Url) -> Option<Uri> {
    Uri::try_from(url.as_str()).ok()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_in_the_clear_to_this_machine_only() {
        for good in [
            "https://api.digitalocean.com",
            "http://127.0.0.1:8080/",
            "http://[::1]:1",
        ] {
            assert!(Endpoint::parse(good).is_ok(), "{good}");
        }
        assert!(
            Endpoint::production()
                .url(&[], &[])
                .as_str()
                .starts_with("https://")
        );
        for bad in [
            "http://api.digitalocean.com",
            "http://10.0.0.1",
            "http://localhost.evil.example",
        ] {
            assert!(
                matches!(Endpoint::parse(bad), Err(EndpointError::InTheClear(_))),
                "{bad}"
            );
        }
        for bad in [
            "",
            "api",
            "ftp://h",
            "https://h/path",
            "https://u:p@h",
            "https://h?q",
            "https://h#f",
        ] {
            assert!(
                matches!(Endpoint::parse(bad), Err(EndpointError::Malformed(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_name_can_not_leave_its_place_in_the_address() {
        let endpoint = Endpoint::production();
        let url = |name: &str| {
            let path = ["tags".to_owned(), name.to_owned()];
            endpoint.url(&path, &[("name", "a&b=c".to_owned())])
        };
        assert_eq!(url("a/../b").path(), "/v2/tags/a%2F..%2Fb");
        assert_eq!(url("a?b#c").path(), "/v2/tags/a%3Fb%23c");
        assert_eq!(url("env:1").path(), "/v2/tags/env:1");
        assert_eq!(url("a").query(), Some("name=a%26b%3Dc"));
    }

    #[test]
    fn only_links_to_the_same_origin_are_followed() {
        let endpoint = Endpoint::production();
        let follow = |link: &str| endpoint.follow(link).map(String::from);
        let next = "https://api.digitalocean.com/v2/droplets?page=2&per_page=200";
        assert_eq!(follow(next).as_deref(), Some(next));
        assert_eq!(
            follow("/v2/droplets?page=2").as_deref(),
            Some("https://api.digitalocean.com/v2/droplets?page=2")
        );
        for foreign in [
            "https://evil.example/v2/droplets?page=2",
            "https://api.digitalocean.com.evil.example/v2/droplets",
            "https://api.digitalocean.com@evil.example/v2/droplets",
            "https://user@api.digitalocean.com/v2/droplets",
            "http://api.digitalocean.com/v2/droplets?page=2",
            "https://api.digitalocean.com:8443/v2/droplets",
            "//evil.example/v2/droplets",
            "https://api.digitalocean.com/logout",
            "https://api.digitalocean.com/v2/../logout",
            "mailto:somebody",
            "data:,v2",
        ] {
            assert_eq!(follow(foreign), None, "{foreign}");
        }
    }
}
