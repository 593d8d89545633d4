//! Names that come from elsewhere, made into ours.

use agentopia_domain::name::{MAX_NAME_CHARS, Name};

use crate::Problem;

/// A slug of `text`: `io.github.user/My_Weather` gives `io-github-user-my-weather`.
///
/// # Errors
/// Where nothing is left of it.
pub(crate) fn slug(text: &str) -> Result<String, Problem> {
    let mut slug = String::new();
    for c in text.chars().take(500) {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == 63 {
            break;
        }
    }
    let slug = slug.trim_end_matches('-').to_owned();
    if slug.is_empty() {
        return Err(Problem::new(
            "its name has neither letters nor digits of ASCII: give one with `slug`",
        ));
    }
    Ok(slug)
}

/// The part of a name that says most: behind the last `/`.
pub(crate) fn last_part(name: &str) -> &str {
    name.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(name)
}

/// A name to show, of the first text that gives one.
pub(crate) fn name(texts: &[&str]) -> Result<Name, Problem> {
    texts
        .iter()
        .find_map(|text| Name::parse(line(text, MAX_NAME_CHARS)).ok())
        .ok_or_else(|| Problem::new("it has no name that could be shown"))
}

/// `text` in one line of at most `most` characters, without what can't be seen.
pub(crate) fn line(text: &str, most: usize) -> String {
    let shown: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'))
        .take(most)
        .collect();
    shown.trim().to_owned()
}

/// An address that may be shown.
pub(crate) fn link(text: Option<&str>) -> Option<String> {
    let text = text?;
    let url = url::Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && text.len() <= 2048).then(|| text.to_owned())
}

/// The name of a setting: lower case, with underscores.
pub(crate) fn property(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().take(64) {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_');
    if name.is_empty() {
        "value".to_owned()
    } else {
        name.to_owned()
    }
}

/// The name of an environment variable or secret: upper case, with underscores.
pub(crate) fn variable(text: &str) -> String {
    let name = property(text).to_ascii_uppercase();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_slugs_and_settings() {
        assert_eq!(
            slug("io.github.user/My_Weather").unwrap(),
            "io-github-user-my-weather"
        );
        assert_eq!(slug("--@a//b--").unwrap(), "a-b");
        assert!(slug("天気").is_err());
        assert!(slug(&"ab-".repeat(99)).unwrap().len() <= 63);
        assert_eq!(property("--api-base.URL"), "api_base_url");
        assert_eq!(variable("X-API-Key"), "X_API_KEY");
        assert_eq!(variable("1a"), "_1A");
        assert_eq!(line("a\nb\u{202e}c ", 9), "a bc");
        assert_eq!(link(Some("javascript:alert(1)")), None);
    }
}
