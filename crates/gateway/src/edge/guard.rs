//! What is refused before anything is looked at: names that are not ours (DNS rebinding), pages of
//! other origins, tokens in addresses (they end up in logs).

use axum::response::Response;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, StatusCode, Uri};

use super::answer;
use crate::config::GatewayConfig;

/// Query parameters that look like a credential.
const CREDENTIALS: [&str; 5] = [
    "token",
    "access_token",
    "api_key",
    "apikey",
    "authorization",
];

pub(super) fn check(config: &GatewayConfig, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    if !host_is_ours(config, uri, headers) {
        return Some(answer::refused(
            StatusCode::FORBIDDEN,
            "this Host is not served here; an administrator can add it to the allowed hosts",
        ));
    }
    if !origin_is_allowed(config, headers) {
        return Some(answer::refused(
            StatusCode::FORBIDDEN,
            "this Origin may not call here; an administrator can add it to the allowed origins",
        ));
    }
    if has_credential(uri) {
        return Some(answer::refused(
            StatusCode::BAD_REQUEST,
            "tokens are not taken from the address; send them in the Authorization header, and \
             revoke this one: it stands in logs now",
        ));
    }
    None
}

fn host_is_ours(config: &GatewayConfig, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        // HTTP/2 has the host in the address.
        (None, _) => uri.authority().map(http::uri::Authority::as_str),
        (Some(_), Some(_)) => None,
    };
    let Some(host) = host else { return false };
    let bare = without_port(host);
    let fits =
        |allowed: &String| allowed.eq_ignore_ascii_case(host) || allowed.eq_ignore_ascii_case(bare);
    config.allowed_hosts.iter().any(fits)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

fn origin_is_allowed(config: &GatewayConfig, headers: &HeaderMap) -> bool {
    headers.get_all(ORIGIN).iter().all(|origin| {
        origin.to_str().is_ok_and(|origin| {
            config
                .allowed_origins
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(origin))
        })
    })
}

fn has_credential(uri: &Uri) -> bool {
    let pairs = uri
        .query()
        .map(|query| url::form_urlencoded::parse(query.as_bytes()));
    pairs.into_iter().flatten().any(|(key, value)| {
        CREDENTIALS
            .iter()
            .any(|name| key.eq_ignore_ascii_case(name))
            || agentopia_domain::token::kind_of(&value).is_some()
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn status(uri: &str, headers: &[(http::HeaderName, &'static str)]) -> Option<u16> {
        let config = GatewayConfig {
            allowed_hosts: vec![
                "tools.example".into(),
                "[::1]".into(),
                "only.example:81".into(),
            ],
            allowed_origins: vec!["https://ui.example".into()],
            ..GatewayConfig::default()
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        check(&config, &uri.parse().unwrap(), &map).map(|r| r.status().as_u16())
    }

    #[test]
    fn hosts() {
        for good in [
            "tools.example",
            "TOOLS.example:8080",
            "[::1]:99",
            "[::1]",
            "only.example:81",
        ] {
            assert_eq!(status("/", &[(HOST, good)]), None, "{good}");
        }
        for bad in [
            "evil.example",
            "only.example",
            "only.example:82",
            "tools.example.evil",
            "",
            ":80",
        ] {
            assert_eq!(status("/", &[(HOST, bad)]), Some(403), "{bad}");
        }
        assert_eq!(status("/", &[]), Some(403));
        assert_eq!(status("http://tools.example/", &[]), None);
        assert_eq!(
            status("/", &[(HOST, "tools.example"), (HOST, "evil.example")]),
            Some(403)
        );
    }

    #[test]
    fn origins() {
        let host = (HOST, "tools.example");
        assert_eq!(
            status("/", &[host.clone(), (ORIGIN, "https://ui.example")]),
            None
        );
        for bad in [
            "https://evil.example",
            "null",
            "https://ui.example.evil",
            "http://ui.example",
        ] {
            assert_eq!(
                status("/", &[host.clone(), (ORIGIN, bad)]),
                Some(403),
                "{bad}"
            );
        }
    }

    #[test]
    fn credentials_in_addresses() {
        let host = (HOST, "tools.example");
        assert_eq!(status("/?a=1", std::slice::from_ref(&host)), None);
        assert_eq!(
            status("/?access_token=x", std::slice::from_ref(&host)),
            Some(400)
        );
        let token = agentopia_domain::token::mint(
            agentopia_domain::token::TokenKind::Agent,
            &agentopia_domain::Ambient::system(),
        );
        let uri = format!(
            "/?x={}",
            secrecy::ExposeSecret::expose_secret(&token.secret)
        );
        assert_eq!(status(&uri, &[host]), Some(400));
    }
}
