//! The pages: plain HTML that works without scripts, which the policy forbids anyway. Whatever came
//! from outside goes through [`text`].

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::problem::Refusal;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem;\
color:#1a1b1e;background:#fff}h1{font-size:1.4rem}label{display:block;margin:.8rem 0}input{display:block;\
width:100%;box-sizing:border-box;padding:.5rem;font:inherit}button{font:inherit;padding:.5rem 1.2rem;\
margin:1rem .5rem 0 0}.wrong{border-left:.3rem solid #c92a2a;padding-left:.8rem}dt{font-weight:600}\
@media(prefers-color-scheme:dark){body{color:#e9ecef;background:#1a1b1e}a{color:#74c0fc}}";

static STYLE_SOURCE: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(STYLE))));

/// A page. Its form may lead to us and to `also`.
pub(super) fn page(status: StatusCode, title: &str, body: &str, also: Option<&str>) -> Response {
    let document = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title} - Agentopia</title><style>{STYLE}</style></head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n",
        title = text(title)
    );
    let mut response = (status, Html(document)).into_response();
    let headers = response.headers_mut();
    let policy = format!(
        "default-src 'none'; style-src {}; form-action 'self' {}; base-uri 'none'; \
         frame-ancestors 'none'",
        *STYLE_SOURCE,
        also.unwrap_or_default()
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // With `no-referrer` browsers would send `Origin: null` with the form.
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    // Clients that are web pages open this one in a window of their own and wait for it to come back.
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("unsafe-none"),
    );
    response
}

/// A page that says why it does not go on.
pub(super) fn problem(status: StatusCode, sentence: &str) -> Response {
    page(
        status,
        "This sign-in can not go on",
        &format!("<p class=\"wrong\">{}</p>\n", text(sentence)),
        None,
    )
}

/// The same for a refusal. What is our fault is logged by the outermost layer.
pub(super) fn refusal(refusal: Refusal) -> Response {
    if refusal.kind().status.is_server_error() {
        return refusal.into_response();
    }
    problem(refusal.kind().status, refusal.detail())
}

/// Sends the browser on. 303, so that nothing that was posted goes along.
pub(super) fn go(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => {
            let headers = [
                (header::LOCATION, location),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(_) => problem(
            StatusCode::BAD_REQUEST,
            "The program's address can not be gone back to.",
        ),
    }
}

/// Text in a document or in a quoted attribute.
pub(super) fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' | '\'' => {
                let _ = write!(safe, "&#{};", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            text("<a href=\"x\" o='&'>"),
            "&lt;a href=&#34;x&#34; o=&#39;&amp;&#39;&gt;"
        );
    }
}
