//! What a value in somebody's configuration looks like: something to keep, something to fill in, or a
//! secret. In doubt it is a secret: asking once too often is better than keeping one.

use url::Url;

/// What a value is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    /// A value like any other.
    Plain,
    /// Empty, or a text in place of a value.
    ToFillIn,
    /// A secret, or the place for one.
    Secret,
}

/// What `value` of something called `name` is.
pub(crate) fn looks(name: &str, value: &str) -> Looks {
    let number_or_switch = value.parse::<f64>().is_ok() || matches!(value, "true" | "false");
    let place = is_place_holder(value);
    // `MAX_TOKEN=4096` is no secret, but `PIN_TOKEN=<token>` is.
    if (names_secret(name) && !(number_or_switch && value.len() <= 6)) || is_secret(value) {
        return Looks::Secret;
    }
    if place {
        if names_secret(&reference(value).unwrap_or_default()) {
            return Looks::Secret;
        }
        return Looks::ToFillIn;
    }
    Looks::Plain
}

/// Whether something of this name is a secret.
pub(crate) fn names_secret(name: &str) -> bool {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before_lower = false;
    for c in name.chars() {
        let starts = c.is_ascii_uppercase() && before_lower;
        if !c.is_ascii_alphanumeric() || starts {
            words.push(std::mem::take(&mut word));
        }
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        }
        before_lower = c.is_ascii_lowercase();
    }
    words.push(word);
    let whole = words.concat();
    let says = |word: &String| {
        matches!(
            word.as_str(),
            "key"
                | "token"
                | "secret"
                | "secrets"
                | "password"
                | "passwd"
                | "passphrase"
                | "pwd"
                | "pass"
                | "credential"
                | "credentials"
                | "auth"
                | "authorization"
                | "pat"
                | "bearer"
                | "cookie"
                | "dsn"
                | "jwt"
                | "private"
                | "apikey"
                | "accesskey"
        )
    };
    words.iter().any(says)
        || [
            "apikey",
            "secretkey",
            "accesstoken",
            "connectionstring",
            "privatekey",
            "password",
        ]
        .iter()
        .any(|part| whole.contains(part))
}

/// Whether the value itself is one.
fn is_secret(value: &str) -> bool {
    const BEGIN: [&str; 22] = [
        "sk-",
        "sk_",
        "pk_",
        "rk_",
        "ghp_",
        "gho_",
        "ghs_",
        "ghu_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "xapp-",
        "AKIA",
        "AIza",
        "ya29.",
        "eyJ",
        "pat_",
        "hf_",
        "npm_",
        "Bearer ",
        "Basic ",
    ];
    let value = value.trim();
    BEGIN
        .iter()
        .any(|begin| value.starts_with(begin) && value.len() > begin.len() + 3)
        || value.contains("-----BEGIN")
        || Url::parse(value).is_ok_and(|url| url.password().is_some() || has_secret_query(&url))
        || is_uuid(value)
        || value
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(is_random)
}

/// Whether an address has a secret in its query.
pub(crate) fn has_secret_query(url: &Url) -> bool {
    url.query_pairs()
        .any(|(name, value)| names_secret(&name) || value.split('-').any(is_random))
}

/// A long run of letters and digits that no word looks like.
fn is_random(run: &str) -> bool {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    let letters = run.bytes().filter(u8::is_ascii_alphabetic).count();
    run.len() >= 20 && digits >= 2 && letters >= 2
}

fn is_uuid(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts
            .iter()
            .all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether the value is a text in place of one, or has one in it.
pub(crate) fn is_place_holder(value: &str) -> bool {
    let text = value.trim();
    let lower = text.to_ascii_lowercase();
    let within = |open: &str, close: char| {
        text.split_once(open)
            .is_some_and(|(_, rest)| rest.contains(close))
    };
    text.is_empty()
        || within("${", '}')
        || within("{{", '}')
        || within("<", '>')
        || (text.starts_with('[') && text.ends_with(']'))
        || (text.starts_with('$')
            && text.len() > 1
            && text[1..]
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit()))
        || (text.starts_with('%') && text.ends_with('%') && text.len() > 2)
        || text.contains("...")
        || text.contains('…')
        || (text.len() >= 3 && lower.bytes().all(|b| matches!(b, b'x' | b'*' | b'-')))
        || [
            "your_",
            "your-",
            "your ",
            "yourapi",
            "path/to",
            "replace_",
            "replace-",
            "change_me",
            "change-me",
            "changeme",
            "insert_",
            "todo",
            "placeholder",
        ]
        .iter()
        .any(|part| lower.contains(part))
}

/// The name that a place holder refers to: `API_KEY` of `Bearer ${input:API_KEY}`.
pub(crate) fn reference(value: &str) -> Option<String> {
    let name = [("${", '}'), ("{{", '}'), ("<", '>')]
        .iter()
        .find_map(|(open, close)| {
            let (_, rest) = value.split_once(open)?;
            rest.split_once(*close).map(|(name, _)| name.trim())
        })?;
    let name = ["input:", "env:"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    // A shell's default, `${X:-value}`, is no part of the name.
    let name = name.split_once(":-").map_or(name, |(name, _)| name);
    (!name.is_empty()).then(|| name.trim().to_owned())
}

/// A path of somebody's own computer, where a container has nothing.
pub(crate) fn is_path_elsewhere(value: &str) -> bool {
    let bytes = value.as_bytes();
    ["/Users/", "/home/", "~/", "./", "../", "\\\\"]
        .iter()
        .any(|begin| value.starts_with(begin))
        || (bytes.len() > 2
            && bytes[0].is_ascii_alphabetic()
            && bytes[1] == b':'
            && matches!(bytes[2], b'\\' | b'/')
            && !value[2..].starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_secret_is_seen_by_its_name_or_by_itself() {
        for (name, value) in [
            ("API_KEY", "abc"),
            ("GITHUB_PERSONAL_ACCESS_TOKEN", ""),
            ("githubToken", "<token>"),
            ("X", "sk-proj-abcdef"),
            ("X", "ghp_0123456789abcdefghij"),
            ("X", "postgres://me:pw@db/x"),
            ("X", "https://a.example/?api_key=1"),
            ("X", "0f8fad5b-d9cb-469f-a165-70867728950e"),
            ("X", "a8f5f167f44f4964e6c998dee827110c"),
            ("X", "${MY_TOKEN}"),
            ("X", "Bearer abcdefg"),
            ("DB_PASSWORD", "123456789"),
        ] {
            assert_eq!(looks(name, value), Looks::Secret, "{name}={value}");
        }
        for (name, value) in [
            ("REGION", "<your region>"),
            ("HOST", "${HOST}"),
            ("HOST", ""),
            ("DIR", "/path/to/dir"),
            ("ACCOUNT", "your_account"),
            ("ID", "xxxx"),
            ("ID", "$HOME"),
        ] {
            assert_eq!(looks(name, value), Looks::ToFillIn, "{name}={value}");
        }
        for (name, value) in [
            ("LOG_LEVEL", "info"),
            ("MAX_TOKENS", "4096"),
            ("MAX_TOKEN", "4096"),
            ("KEYBOARD", "de"),
            ("MODEL", "claude-3-5-sonnet-20241022"),
            ("URL", "https://api.example.com/v1"),
            ("ZONE", "Europe/Berlin"),
        ] {
            assert_eq!(looks(name, value), Looks::Plain, "{name}={value}");
        }
    }

    #[test]
    fn references_have_names() {
        assert_eq!(reference("Bearer ${input:api-key}").unwrap(), "api-key");
        assert_eq!(reference("${X:-1}").unwrap(), "X");
        assert_eq!(reference("<YOUR_KEY>").unwrap(), "YOUR_KEY");
        assert_eq!(reference("plain"), None);
        assert!(is_path_elsewhere("/Users/me/x") && is_path_elsewhere("C:\\x"));
        assert!(!is_path_elsewhere("/data") && !is_path_elsewhere("https://x"));
    }
}
