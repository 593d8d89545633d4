//! The sign-in page, and `POST /oauth/login`, which its form is sent to.
//!
//! The form is protected like every change by cookie, although nobody is signed in yet: else a
//! foreign page could sign its visitor in as somebody else, who would then see what is consented to.

use axum::extract::RawQuery;
use axum::response::Response;
use axum_extra::extract::CookieJar;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};

use super::authorize;
use super::fields::Fields;
use super::page::{self, text};
use crate::auth::{csrf, sign_in};
use crate::http::extract::PublicCall;
use crate::oauth::client::Client;
use crate::oauth::request::Asked;
use crate::problem::{Answer, Refusal, kind};
use crate::state::AppState;

/// The cookie that the form's token is made of. `Lax`: browsers come here from other sites, and a
/// foreign page's post does not bring it.
const COOKIE: &str = "agentopia_login";

/// The page; `problem` is why the last try failed.
pub(super) fn show(
    call: &PublicCall,
    headers: &HeaderMap,
    client: &Client,
    query: &str,
    problem: Option<&Refusal>,
) -> Response {
    let form = Form {
        why: &format!(
            "{} wants to use tools of yours. Sign in to see what it wants.",
            text(&client.name)
        ),
        action: &format!("/oauth/login?{query}"),
    };
    form.show(call, headers, problem)
}

/// A form for signing in.
pub(super) struct Form<'a> {
    /// Why, as HTML.
    pub(super) why: &'a str,
    /// Where it is sent to.
    pub(super) action: &'a str,
}

impl Form<'_> {
    /// The page; `problem` is why the last try failed.
    pub(super) fn show(
        &self,
        call: &PublicCall,
        headers: &HeaderMap,
        problem: Option<&Refusal>,
    ) -> Response {
        let state = &call.state;
        let (secret, set) = browser(state, headers);
        let wrong = problem.map_or_else(String::new, |refusal| {
            format!(
                "<p class=\"wrong\" role=\"alert\">{}</p>\n",
                text(refusal.detail())
            )
        });
        let body = format!(
            "<p>{why}</p>\n{wrong}\
             <form method=\"post\" action=\"{action}\">\n\
             <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
             <label>E-mail<input type=\"email\" name=\"email\" autocomplete=\"username\" required></label>\n\
             <label>Password<input type=\"password\" name=\"password\" autocomplete=\"current-password\" \
             required></label>\n<button>Sign in</button>\n</form>\n",
            why = self.why,
            action = text(self.action),
            csrf = csrf::token(&secret),
        );
        let status = problem.map_or(StatusCode::OK, |refusal| refusal.kind().status);
        let mut response = page::page(status, "Sign in", &body, None);
        if let Some(cookie) = set {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// What tells this browser from others, with the cookie to set where it has none yet.
pub(super) fn browser(
    state: &AppState,
    headers: &HeaderMap,
) -> (SecretString, Option<HeaderValue>) {
    if let Some(secret) = from_cookie(headers) {
        return (secret, None);
    }
    let random = zeroize::Zeroizing::new(state.ambient.random::<32>());
    let secret = SecretString::from(URL_SAFE_NO_PAD.encode(*random));
    let cookie = set_cookie(state, &secret);
    (secret, cookie)
}

/// Signs in whoever sent the form, with the cookie of the session; the inner error is for the form.
///
/// # Errors
/// What is no matter of trying again.
pub(super) async fn sent(
    call: &PublicCall,
    headers: &HeaderMap,
    form: &Asked,
) -> Answer<Result<HeaderValue, Refusal>> {
    check_origin(&call.state, headers)?;
    let secret = from_cookie(headers);
    let sent = form.get("csrf").unwrap_or_default();
    if !secret.is_some_and(|secret| csrf::same(&csrf::token(&secret), sent)) {
        return Err(Refusal::new(
            kind::CSRF,
            "This form is too old, or your browser refuses cookies. Go back, load the page \
             again and sign in.",
        ));
    }
    let email = form.get("email").unwrap_or_default();
    let password = SecretString::from(form.get("password").unwrap_or_default());
    match sign_in::sign_in(call, headers, email, password).await {
        Ok(begun) => {
            call.state.events.ring();
            Ok(Ok(begun.set_cookie))
        }
        Err(refusal) if refusal.kind().status.is_client_error() => Ok(Err(refusal)),
        Err(refusal) => Err(refusal),
    }
}

pub(super) async fn handler(
    call: PublicCall,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    Fields(form): Fields,
) -> Response {
    let query = query.unwrap_or_default();
    let done = async {
        check_origin(&call.state, &headers)?;
        let request = match authorize::open(&call, &query).await? {
            Ok(request) => request,
            // Found out and told by the page that was shown before.
            Err(_) => return Ok(page::go(&format!("/oauth/authorize?{query}"))),
        };
        match sent(&call, &headers, &form).await? {
            Ok(cookie) => {
                let mut response =
                    page::go(&format!("/oauth/authorize?{}", without_prompt(&query)));
                response.headers_mut().append(header::SET_COOKIE, cookie);
                Ok(response)
            }
            Err(refusal) => Ok(show(
                &call,
                &headers,
                &request.client,
                &query,
                Some(&refusal),
            )),
        }
    };
    done.await.unwrap_or_else(page::refusal)
}

/// Refuses forms of other pages. Browsers always say which page a form is of.
pub(super) fn check_origin(state: &AppState, headers: &HeaderMap) -> Answer<()> {
    let foreign = headers.get_all(header::ORIGIN).iter().any(|origin| {
        !origin
            .to_str()
            .is_ok_and(|origin| state.config.allows_origin(origin))
    });
    if foreign {
        return Err(Refusal::new(
            kind::FOREIGN_ORIGIN,
            "This form is of another page than ours. Begin anew in the program.",
        ));
    }
    Ok(())
}

/// Who has just signed in is not asked to do so again.
pub(super) fn without_prompt(query: &str) -> String {
    let parts = query.split('&').filter(|part| !part.starts_with("prompt="));
    parts.collect::<Vec<_>>().join("&")
}

pub(super) fn from_cookie(headers: &HeaderMap) -> Option<SecretString> {
    let jar = CookieJar::from_headers(headers);
    let value = jar.get(COOKIE)?.value();
    (value.len() == 43).then(|| SecretString::from(value))
}

/// `secret` is base64url, so nothing in it needs quoting.
fn set_cookie(state: &AppState, secret: &SecretString) -> Option<HeaderValue> {
    let secure = if state.config.is_https() {
        "; Secure"
    } else {
        ""
    };
    let value = secret.expose_secret();
    let text =
        format!("{COOKIE}={value}; Path=/oauth; HttpOnly; SameSite=Lax; Max-Age=3600{secure}");
    let mut cookie = HeaderValue::from_str(&text).ok()?;
    cookie.set_sensitive(true);
    Some(cookie)
}
