//! Scopes. There is one: to use the endpoint that the token is bound to.

/// Its name.
pub const MCP: &str = "mcp";

/// Whether a request for `asked` can be met. Clients ask for what others' servers have besides; they
/// get ours and are told so. Who asks for others' alone wants something that we don't have.
#[must_use]
pub fn fits(asked: Option<&str>) -> bool {
    let mut names = asked
        .unwrap_or_default()
        .split_ascii_whitespace()
        .peekable();
    names.peek().is_none() || names.any(|name| name == MCP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_given_and_others_are_not() {
        for good in [None, Some(""), Some(" "), Some("mcp"), Some("openid mcp")] {
            assert!(fits(good), "{good:?}");
        }
        for bad in ["openid", "mcp:admin", "MCP", "read write"] {
            assert!(!fits(Some(bad)), "{bad}");
        }
    }
}
