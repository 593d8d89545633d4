//! The documents of a login: which authorization server a server has (RFC 9728), and what that can do
//! (RFC 8414, OpenID Connect Discovery). Where they are, and whether they may be believed. Pure.

use serde::{Deserialize, Serialize};
use url::Url;

/// What a server says of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct ResourceMetadata {
    /// Its name for tokens.
    pub resource: String,
    /// Who lets people in.
    #[serde(default)]
    pub authorization_servers: Vec<String>,
    /// What tokens can be good for.
    #[serde(default)]
    pub scopes_supported: Vec<String>,
}

/// What an authorization server says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerMetadata {
    /// Its name.
    pub issuer: String,
    /// Where browsers go.
    pub authorization_endpoint: String,
    /// Where codes are redeemed.
    pub token_endpoint: String,
    /// Where clients register.
    #[serde(default)]
    pub registration_endpoint: Option<String>,
    /// Where tokens are given back.
    #[serde(default)]
    pub revocation_endpoint: Option<String>,
    /// What tokens can be good for.
    #[serde(default)]
    pub scopes_supported: Vec<String>,
    /// How codes are bound to whoever asked for them.
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    /// How clients show who they are.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether a client's id may be the address of its metadata document.
    #[serde(default)]
    pub client_id_metadata_document_supported: bool,
    /// Whether it says who it is when it sends the browser back (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Where the metadata of the server at `server` may be, the likeliest first.
#[must_use]
pub fn of_resource(server: &Url) -> Vec<Url> {
    inserted(server, "oauth-protected-resource", true)
}

/// Where the metadata of the authorization server `issuer` may be, the likeliest first: the order that
/// MCP prescribes.
#[must_use]
pub fn of_issuer(issuer: &Url) -> Vec<Url> {
    let mut all = inserted(issuer, "oauth-authorization-server", false);
    all.extend(inserted(issuer, "openid-configuration", false));
    let path = issuer.path().trim_end_matches('/');
    if !path.is_empty() {
        all.push(at(
            issuer,
            &format!("{path}/.well-known/openid-configuration"),
        ));
    }
    all
}

/// `/.well-known/<name>` before the path, and at the root as well if `root`.
fn inserted(url: &Url, name: &str, root: bool) -> Vec<Url> {
    let path = url.path().trim_end_matches('/');
    let mut all = vec![at(url, &format!("/.well-known/{name}{path}"))];
    if root && !path.is_empty() {
        all.push(at(url, &format!("/.well-known/{name}")));
    }
    all
}

fn at(url: &Url, path: &str) -> Url {
    let mut there = url.clone();
    there.set_path(path);
    there.set_query(None);
    there.set_fragment(None);
    there
}

/// The name for tokens of the server at `server`, if `resource` is one: the address itself, or one that
/// the address is below, at the same origin. Whoever could name another server would get tokens for
/// that.
#[must_use]
pub fn resource_for(resource: &str, server: &Url) -> Option<String> {
    let named = Url::parse(resource).ok()?;
    let plain = named.fragment().is_none()
        && named.username().is_empty()
        && named.password().is_none()
        && matches!(named.scheme(), "http" | "https");
    if !plain || named.origin() != server.origin() {
        return None;
    }
    if named.query().is_some() && named.query() != server.query() {
        return None;
    }
    let folder = |path: &str| format!("{}/", path.trim_end_matches('/'));
    folder(server.path())
        .starts_with(&folder(named.path()))
        .then(|| resource.to_owned())
}

/// The server's own address as a name for tokens, where it does not say another (RFC 8707: no fragment;
/// MCP: no slash at the end of a bare origin).
#[must_use]
pub fn canonical(server: &Url) -> String {
    let bare = server.path() == "/" && server.query().is_none();
    let text = server.as_str();
    if bare {
        text.trim_end_matches('/').to_owned()
    } else {
        text.to_owned()
    }
}

/// Whether `metadata` is that of `issuer` and good enough for a login.
///
/// # Errors
/// What is missing, for people.
pub fn judge(issuer: &str, metadata: &ServerMetadata) -> Result<(), String> {
    let same = match (Url::parse(issuer), Url::parse(&metadata.issuer)) {
        // The parser adds the slash of a bare origin, and nothing else here.
        (Ok(asked), Ok(said)) => asked == said,
        _ => false,
    };
    if !same {
        return Err("its metadata is that of another issuer".to_owned());
    }
    let methods = &metadata.code_challenge_methods_supported;
    if !methods.iter().any(|method| method == "S256") {
        return Err(
            "its metadata does not say that it takes proofs of possession (PKCE with S256), without \
             which a login is not safe"
                .to_owned(),
        );
    }
    let page = Url::parse(&metadata.authorization_endpoint);
    if !page.is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
        return Err("its page for logins is at no http(s) address".to_owned());
    }
    Ok(())
}

/// All words of `scopes` once, in their order.
#[must_use]
pub fn together<'a>(scopes: impl IntoIterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for scope in scopes.into_iter().flat_map(str::split_whitespace) {
        if !all.contains(&scope) {
            all.push(scope);
        }
    }
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn texts(urls: Vec<Url>) -> Vec<String> {
        urls.into_iter().map(String::from).collect()
    }

    #[test]
    fn documents_are_looked_for_where_the_standards_put_them() {
        assert_eq!(
            texts(of_resource(&url("https://a.example/mcp/one?x=1"))),
            [
                "https://a.example/.well-known/oauth-protected-resource/mcp/one",
                "https://a.example/.well-known/oauth-protected-resource"
            ]
        );
        assert_eq!(
            texts(of_issuer(&url("https://a.example"))),
            [
                "https://a.example/.well-known/oauth-authorization-server",
                "https://a.example/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            texts(of_issuer(&url("https://a.example/tenant"))),
            [
                "https://a.example/.well-known/oauth-authorization-server/tenant",
                "https://a.example/.well-known/openid-configuration/tenant",
                "https://a.example/tenant/.well-known/openid-configuration"
            ]
        );
    }

    #[test]
    fn a_resource_is_the_server_or_above_it_and_nobody_else() {
        let server = url("https://a.example/mcp/one");
        for good in [
            "https://a.example/mcp/one",
            "https://a.example/mcp/",
            "https://a.example/mcp",
            "https://a.example",
            "HTTPS://A.example:443/mcp",
        ] {
            assert_eq!(resource_for(good, &server).as_deref(), Some(good));
        }
        for bad in [
            "",
            "a.example",
            "http://a.example/mcp/one",
            "https://a.example:8443/mcp/one",
            "https://b.example/mcp/one",
            "https://a.example/mcp/on",
            "https://a.example/mcp/one/two",
            "https://a.example/other",
            "https://a.example/mcp/one?x=1",
            "https://a.example/mcp/one#x",
            "https://u@a.example/mcp/one",
        ] {
            assert_eq!(resource_for(bad, &server), None, "{bad}");
        }
        assert_eq!(canonical(&url("https://a.example/")), "https://a.example");
        assert_eq!(canonical(&server), "https://a.example/mcp/one");
    }

    fn metadata(change: impl FnOnce(&mut serde_json::Value)) -> ServerMetadata {
        let mut value = json!({
            "issuer": "https://a.example",
            "authorization_endpoint": "https://a.example/authorize",
            "token_endpoint": "https://a.example/token",
            "code_challenge_methods_supported": ["plain", "S256"],
        });
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn another_issuer_no_s256_and_a_page_that_is_a_script_are_refused() {
        assert_eq!(judge("https://a.example", &metadata(|_| ())), Ok(()));
        assert_eq!(judge("https://a.example/", &metadata(|_| ())), Ok(()));
        let says = |metadata: &ServerMetadata, issuer: &str| judge(issuer, metadata).unwrap_err();
        let other = metadata(|it| it["issuer"] = json!("https://b.example"));
        assert!(says(&other, "https://a.example").contains("another issuer"));
        for methods in [json!([]), json!(["plain"])] {
            let weak = metadata(|it| it["code_challenge_methods_supported"] = methods);
            assert!(says(&weak, "https://a.example").contains("S256"));
        }
        for page in [
            "javascript:alert(1)",
            "file:///bin/sh",
            "x-app://y",
            "/authorize",
            "",
        ] {
            let bad = metadata(|it| it["authorization_endpoint"] = json!(page));
            assert!(
                says(&bad, "https://a.example").contains("http(s)"),
                "{page}"
            );
        }
    }

    #[test]
    fn scopes_are_put_together_without_repetition() {
        assert_eq!(together(["a b", "b  c", ""]), "a b c");
    }
}
