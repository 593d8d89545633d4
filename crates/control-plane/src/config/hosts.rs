//! Which hosts and origins requests may name (SEC-7): the defence against DNS rebinding and
//! foreign pages. Loopback names are always allowed: a rebinding page can't make a browser send
//! one of them as `Host`, because it sends the page's own name.

use url::Url;

use super::Config;

/// The `scheme://host[:port]` of an origin without a path; `None` for anything else.
pub(super) fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    fits.then(|| url.origin().ascii_serialization())
}

/// The host of `host[:port]`, lower case, IPv6 without brackets.
fn host_of(authority: &str) -> Option<String> {
    let url = Url::parse(&format!("http://{authority}/")).ok()?;
    // Whatever parsed as more than an authority was no host.
    (url.path() == "/" && url.username().is_empty() && url.password().is_none())
        .then(|| url.host_str().map(str::to_ascii_lowercase))
        .flatten()
}

impl Config {
    /// Whether a request whose `Host` (or HTTP/2 authority) is `authority` is meant for us.
    #[must_use]
    pub fn allows_host(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else {
            return false;
        };
        is_loopback(&host)
            || host_of(&self.bind.to_string()).is_some_and(|bind| bind == host)
            || self
                .public_url
                .as_ref()
                .and_then(Url::host_str)
                .is_some_and(|public| public.eq_ignore_ascii_case(&host))
            || self
                .allowed_hosts
                .iter()
                .any(|allowed| host_of(allowed).is_some_and(|allowed| allowed == host))
    }

    /// Whether pages of `candidate` may use the API.
    ///
    /// Besides the configured ones that is our own origin: any port of a loopback name or of the
    /// address we are bound to would let another local server's pages in, so the port has to be
    /// ours.
    #[must_use]
    pub fn allows_origin(&self, candidate: &str) -> bool {
        let Some(candidate) = origin(candidate) else {
            return false;
        };
        let own = origin(&self.base_url());
        let port = self.bind.port();
        own.as_deref() == Some(candidate.as_str())
            || [
                format!("http://localhost:{port}"),
                format!("http://127.0.0.1:{port}"),
                format!("http://[::1]:{port}"),
            ]
            .contains(&candidate)
            || self
                .allowed_origins
                .iter()
                .any(|allowed| origin(allowed).is_some_and(|allowed| allowed == candidate))
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "::1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            public_url: Some("https://tools.example".parse().unwrap()),
            allowed_hosts: vec!["alias.example".into()],
            allowed_origins: vec!["https://app.example".into()],
            ..Config::default()
        }
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let config = config();
        for good in [
            "tools.example",
            "TOOLS.example:443",
            "alias.example:8443",
            "localhost:8080",
            "127.0.0.1",
            "[::1]:8080",
        ] {
            assert!(config.allows_host(good), "{good}");
        }
        for bad in [
            "evil.example",
            "tools.example.evil.example",
            "tools.example@evil.example",
            "evil.example/tools.example",
            "",
            "192.168.0.1",
        ] {
            assert!(!config.allows_host(bad), "{bad}");
        }
    }

    #[test]
    fn only_our_own_pages_are_served() {
        let config = config();
        for good in [
            "https://tools.example",
            "https://app.example",
            "http://localhost:8080",
        ] {
            assert!(config.allows_origin(good), "{good}");
        }
        for bad in [
            "http://tools.example",
            "https://tools.example:8443",
            "http://localhost:3000",
            "null",
            "https://tools.example.evil.example",
            "file://",
        ] {
            assert!(!config.allows_origin(bad), "{bad}");
        }
    }
}
