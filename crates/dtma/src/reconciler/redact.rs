//! Takes a tool's secrets out of what it wrote to stderr, before that goes into a message that is
//! stored and shown. A tool that prints its own token must not make it public.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};

/// Shorter values are too common in ordinary text to be taken out.
const SHORTEST: usize = 4;
/// The longest message kept, in bytes.
const LONGEST_MESSAGE: usize = 8 << 10;

/// `text` with every value of `secrets` replaced by its name, and cut to a bearable length (the
/// end is kept: the last lines say why it ended).
#[must_use]
pub(super) fn redact(text: &str, secrets: &BTreeMap<String, SecretString>) -> String {
    let mut text = text.to_owned();
    for (name, value) in secrets {
        let value = value.expose_secret();
        if value.len() >= SHORTEST {
            text = text.replace(value, &format!("[secret {name}]"));
        }
    }
    if text.len() > LONGEST_MESSAGE {
        let mut start = text.len() - LONGEST_MESSAGE;
        while !text.is_char_boundary(start) {
            start += 1;
        }
        text = format!("…{}", &text[start..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_replaced_by_its_name_before_the_text_is_cut() {
        let secrets = BTreeMap::from([("TOKEN".to_owned(), SecretString::from("hunter22"))]);
        let long = format!(
            "hunter22 {} denied for hunter22",
            "ü".repeat(LONGEST_MESSAGE)
        );
        let text = redact(&long, &secrets);
        assert!(text.ends_with("denied for [secret TOKEN]"), "{text}");
        assert!(!text.contains("hunter22"));
        assert!(text.len() <= LONGEST_MESSAGE + 4);
    }
}
