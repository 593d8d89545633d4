//! Redirect addresses: what a client may register, what matches it, and how answers are put into one.
//!
//! Codes go where a redirect address says, so nothing is compared loosely: the text has to be the
//! registered one, except that the port of a loopback address does not count (RFC 8252, section 7.3),
//! because programs take a free one each time.

use url::{Host, Url};

/// The longest address.
const MAX_LENGTH: usize = 2_000;
/// Schemes of well-known editors. Others have a dot in them (RFC 8252, section 7.1), which no scheme
/// has that a browser acts on itself, such as `javascript`.
const EDITORS: [&str; 7] = [
    "claude",
    "cursor",
    "vscode",
    "vscode-insiders",
    "vscodium",
    "windsurf",
    "zed",
];

/// Whether a client may register `text`.
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_LENGTH {
        return Err("it is longer than 2000 bytes");
    }
    if text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err("it has characters that no address has");
    }
    let url = Url::parse(text).map_err(|_| "it is no absolute address")?;
    if url.fragment().is_some() {
        return Err("it has a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user name");
    }
    match url.scheme() {
        "https" if url.host().is_some() => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err(
            "http is for the client's own machine alone (127.0.0.1, [::1], localhost); use https",
        ),
        scheme if EDITORS.contains(&scheme) || scheme.contains('.') => Ok(()),
        _ => Err("its scheme is neither https nor one of a program's own, like com.example.app"),
    }
}

/// Whether an answer may go to `asked` where `registered` was registered.
#[must_use]
pub fn matches(registered: &str, asked: &str) -> bool {
    if registered == asked {
        return true;
    }
    match (without_port(registered), without_port(asked)) {
        (Some(registered), Some(asked)) => registered == asked && check_loopback_text(&registered),
        _ => false,
    }
}

/// Where the address leads, for people: the host, or that it is a program on their machine.
#[must_use]
pub fn shown(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if is_loopback(&url) => "a program on your computer".to_owned(),
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            url.host_str().unwrap_or("nowhere").to_owned()
        }
        Ok(url) => format!("the program that opens {}: addresses", url.scheme()),
        Err(_) => "nowhere".to_owned(),
    }
}

/// What a page's `form-action` has to allow so that the answer to its form may lead there.
#[must_use]
pub fn source(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    match url.scheme() {
        // Policies know no addresses of IPv6 (CSP 3, section 2.3.1).
        "http" | "https" if !matches!(url.host(), Some(Host::Ipv6(_))) => {
            Some(url.origin().ascii_serialization())
        }
        scheme => Some(format!("{scheme}:")),
    }
}

/// The address with `answer` in its query. What stood there stays.
#[must_use]
pub fn with_answer(text: &str, answer: &[(&str, &str)]) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    url.query_pairs_mut().extend_pairs(answer);
    Some(url.into())
}

fn is_loopback(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip == std::net::Ipv4Addr::LOCALHOST,
            Some(Host::Ipv6(ip)) => ip == std::net::Ipv6Addr::LOCALHOST,
            None => false,
        }
}

fn check_loopback_text(text: &str) -> bool {
    check(text).is_ok() && Url::parse(text).is_ok_and(|url| is_loopback(&url))
}

/// The text of an `http` address without its port; everything else as it stands.
fn without_port(text: &str) -> Option<String> {
    let rest = text.strip_prefix("http://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            if port.is_empty() || port.parse::<u16>().is_err() {
                return None;
            }
            host
        }
        _ => authority,
    };
    Some(format!("http://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_may_be_answered_at_home_by_https_or_by_their_own_scheme() {
        for good in [
            "https://claude.ai/api/mcp/auth_callback",
            "https://a.example:8443/cb?x=1",
            "http://127.0.0.1/cb",
            "http://127.0.0.1:6274/oauth/callback",
            "http://[::1]:1/cb",
            "http://localhost:3334/cb",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "vscode://vscode.microsoft-authentication",
            "com.example.app:/cb",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/cb",
            "http://evil.example/cb",
            "http://localhost.evil.example/cb",
            "http://127.0.0.2/cb",
            "https://a.example/cb#x",
            "https://user@a.example/cb",
            "javascript://a.example/%0aalert(1)",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "ftp://a.example/",
            "ws://a.example/",
            "https://a.example/ x",
            "https://a.example\\@evil.example/",
            "https://",
            &format!("https://a.example/{}", "x".repeat(2000)),
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_port_of_a_loopback_address_does_not_count() {
        for (registered, asked) in [
            ("https://a.example/cb", "https://a.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:5000/cb"),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb"),
            ("http://[::1]:1/cb", "http://[::1]/cb"),
            ("http://localhost:1/cb?a=b", "http://localhost:2/cb?a=b"),
            ("cursor://x/cb", "cursor://x/cb"),
        ] {
            assert!(matches(registered, asked), "{registered} {asked}");
        }
        for (registered, asked) in [
            ("https://a.example/cb", "https://a.example/cb/"),
            ("https://a.example/cb", "https://a.example/cb?x=1"),
            ("https://a.example/cb", "https://a.example:443/cb"),
            ("https://a.example/cb", "https://A.example/cb"),
            ("https://a.example/cb", "http://a.example/cb"),
            ("https://a.example/cb", "https://a.example/x/../cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:5000/cb2"),
            ("http://127.0.0.1/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:x/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb"),
            ("http://a.example/cb", "http://a.example:81/cb"),
            ("cursor://x/cb", "cursor://x:1/cb"),
        ] {
            assert!(!matches(registered, asked), "{registered} {asked}");
        }
    }

    #[test]
    fn an_answer_is_added_to_what_is_there() {
        let answer = [("code", "a b&c"), ("state", "ü")];
        assert_eq!(
            with_answer("https://a.example/cb?x=1", &answer).unwrap(),
            "https://a.example/cb?x=1&code=a+b%26c&state=%C3%BC"
        );
        assert_eq!(
            with_answer("cursor://x/cb", &[("code", "1")]).unwrap(),
            "cursor://x/cb?code=1"
        );
    }

    #[test]
    fn a_form_may_lead_to_the_client_and_nowhere_else() {
        assert_eq!(
            source("http://127.0.0.1:99/cb").unwrap(),
            "http://127.0.0.1:99"
        );
        assert_eq!(source("cursor://x/cb").unwrap(), "cursor:");
        assert_eq!(source("http://[::1]:99/cb").unwrap(), "http:");
    }
}
