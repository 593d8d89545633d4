//! How texts travel in `Mcp-Name` and `Mcp-Param-*`: as they are where HTTP can carry them, else
//! as `=?base64?…?=`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// The header value for a text.
#[must_use]
pub fn encode_value(text: &str) -> HeaderValue {
    let printable = text.bytes().all(|b| (0x20..=0x7e).contains(&b));
    let padded = text.starts_with(' ') || text.ends_with(' ');
    let looks_encoded = text.starts_with(PREFIX) && text.ends_with(SUFFIX);
    if printable
        && !padded
        && !looks_encoded
        && let Ok(value) = HeaderValue::from_str(text)
    {
        return value;
    }
    let encoded = format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(text));
    // Base64 is always a valid header value.
    HeaderValue::from_str(&encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The text of a header value; `None` if it is not printable ASCII, or says base64 and is not.
#[must_use]
pub fn decode_value(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    match text
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
    {
        Some(inner) => String::from_utf8(STANDARD.decode(inner).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_where_possible() {
        assert_eq!(encode_value("get weather"), "get weather");
        assert_eq!(encode_value("caf\u{e9}"), "=?base64?Y2Fmw6k=?=");
        assert_eq!(encode_value(" x"), "=?base64?IHg=?=");
        assert_eq!(encode_value(""), "");
        let bad = |s: &'static str| decode_value(&HeaderValue::from_static(s));
        assert_eq!(bad("=?base64?Y2Fmw6k?="), None, "padding is needed");
        assert_eq!(bad("=?base64?/w==?="), None, "not UTF-8");
        assert_eq!(
            bad("=?base64?="),
            Some("=?base64?=".to_owned()),
            "too short to be encoded"
        );
        assert_eq!(
            decode_value(&HeaderValue::from_bytes(b"\xe9").unwrap()),
            None
        );
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            prop_assert_eq!(decode_value(&encode_value(&text)), Some(text));
        }
    }
}
