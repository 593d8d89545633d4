//! What a server says in `WWW-Authenticate` (RFC 9110, section 11.6.1; RFC 6750; RFC 9728). Pure.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// A challenge of the scheme `Bearer`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where the server's metadata document is.
    pub resource_metadata: Option<String>,
    /// What the token has to be good for.
    pub scope: Option<String>,
    /// What was wrong with the one that was shown.
    pub error: Option<String>,
}

impl Challenge {
    /// The first challenge of the scheme `Bearer`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .find_map(bearer)
    }

    /// Whether a token was shown that is not good for enough.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

fn bearer(text: &str) -> Option<Challenge> {
    let mut found: Option<Challenge> = None;
    let mut is_bearer = false;
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return found;
        }
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let Some(value) = after.trim_start().strip_prefix('=') else {
            // A scheme. What stands before the next one belongs to it.
            if found.is_some() {
                return found;
            }
            is_bearer = word.eq_ignore_ascii_case("bearer");
            found = is_bearer.then(Challenge::default);
            rest = after;
            continue;
        };
        let (value, after) = value_of(value.trim_start());
        if let (true, Some(challenge)) = (is_bearer, &mut found) {
            let place = match word.to_ascii_lowercase().as_str() {
                "resource_metadata" => Some(&mut challenge.resource_metadata),
                "scope" => Some(&mut challenge.scope),
                "error" => Some(&mut challenge.error),
                _ => None,
            };
            if let Some(place) = place {
                place.get_or_insert(value);
            }
        }
        rest = after;
    }
}

/// A quoted string or a token, and what comes after it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        let (token, after) = text.split_at(end);
        return (token.to_owned(), after);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        Challenge::of(&headers)
    }

    #[test]
    fn the_bearer_challenge_is_found_among_others() {
        let want = Challenge {
            resource_metadata: Some("https://x.example/.well-known/a,b".to_owned()),
            scope: Some("read \"all\"".to_owned()),
            error: None,
        };
        let bearer = r#"Bearer realm="x", resource_metadata="https://x.example/.well-known/a,b", scope="read \"all\"""#;
        assert_eq!(read(&[bearer]), Some(want.clone()));
        let mixed = format!("Basic realm=\"Bearer scope=evil\", {bearer}, Digest scope=other");
        assert_eq!(read(&[&mixed]), Some(want.clone()));
        assert_eq!(read(&["Negotiate", bearer]), Some(want));
        let lower = read(&["bearer error=insufficient_scope,scope=a"]).unwrap();
        assert!(lower.wants_more());
        assert_eq!(lower.scope.as_deref(), Some("a"));
    }

    #[test]
    fn what_is_no_bearer_challenge_says_nothing() {
        for other in ["", "Basic realm=\"x\"", "Basic abc==", "Digest scope=\"a\""] {
            assert_eq!(read(&[other]), None, "{other}");
        }
        assert_eq!(read(&["Bearer"]), Some(Challenge::default()));
    }

    #[test]
    fn nothing_makes_it_stumble() {
        for odd in [
            "=",
            ",,=\"",
            "Bearer scope=\"a\\",
            "Bearer =x",
            "Bearer scope",
            "\"\" = \"\"",
        ] {
            let _read = read(&[odd]);
        }
        let cut = read(&["Bearer scope=\"a b"]).unwrap();
        assert_eq!(cut.scope.as_deref(), Some("a b"));
    }
}
