//! Which endpoint a resource indicator (RFC 8707) means.

use agentopia_domain::oauth::Audience;
use url::Url;

/// An endpoint of ours, by its address. Says nothing about whether there is such an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Which.
    pub audience: Audience,
    /// Its address, in the one form that tokens are bound to.
    pub url: String,
}

/// The endpoint that `text` names, if it is one of those below `base` (our public address without a
/// slash at its end).
#[must_use]
pub fn parse(base: &str, text: &str) -> Option<Resource> {
    let url = Url::parse(text).ok()?;
    let ours = Url::parse(base).ok()?;
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !plain || url.origin() != ours.origin() || !url.origin().is_tuple() {
        return None;
    }
    from_path(base, url.path())
}

/// The endpoint with this path.
#[must_use]
pub fn from_path(base: &str, path: &str) -> Option<Resource> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let (noun, id, door) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let audience = match (noun, door) {
        ("agents", "mcp" | "sse") => Audience::Agent(id.parse().ok()?),
        ("instances", "mcp") => Audience::Instance(id.parse().ok()?),
        _ => return None,
    };
    let id = match audience {
        Audience::Agent(id) => id.as_uuid(),
        Audience::Instance(id) => id.as_uuid(),
    };
    Some(Resource {
        audience,
        url: format!("{base}/{noun}/{id}/{door}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://tools.example";
    const ID: &str = "0190a0f0-0000-7000-8000-00000000abcd";

    #[test]
    fn our_endpoints_have_one_form() {
        let want = format!("{BASE}/agents/{ID}/mcp");
        for text in [
            want.clone(),
            format!("HTTPS://TOOLS.example:443/agents/{}/mcp", ID.to_uppercase()),
        ] {
            let found = parse(BASE, &text).unwrap();
            assert_eq!(found.url, want);
            assert_eq!(found.audience, Audience::Agent(ID.parse().unwrap()));
        }
        assert!(parse(BASE, &format!("{BASE}/agents/{ID}/sse")).is_some());
        let instance = parse(BASE, &format!("{BASE}/instances/{ID}/mcp")).unwrap();
        assert_eq!(instance.audience, Audience::Instance(ID.parse().unwrap()));
    }

    #[test]
    fn everything_else_is_nobodys() {
        for bad in [
            String::new(),
            BASE.to_owned(),
            format!("{BASE}/api/v1"),
            format!("http://tools.example/agents/{ID}/mcp"),
            format!("https://tools.example:8443/agents/{ID}/mcp"),
            format!("https://evil.example/agents/{ID}/mcp"),
            format!("https://tools.example.evil.example/agents/{ID}/mcp"),
            format!("https://a@tools.example/agents/{ID}/mcp"),
            format!("{BASE}/agents/{ID}/mcp?x=1"),
            format!("{BASE}/agents/{ID}/mcp#x"),
            format!("{BASE}/agents/{ID}/mcp/"),
            format!("{BASE}/agents/{ID}/messages"),
            format!("{BASE}/agents/x/mcp"),
            format!("{BASE}/instances/{ID}/sse"),
        ] {
            assert_eq!(parse(BASE, &bad), None, "{bad}");
        }
    }
}
