//! `GET /oauth/authorize`: where a client sends the browser. Shows the sign-in, then the consent.

use agentopia_domain::user::User;
use axum::extract::RawQuery;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;

use super::page::{self, text};
use super::{consent, login};
use crate::auth::{session, throttle};
use crate::http::extract::PublicCall;
use crate::oauth::client;
use crate::oauth::document;
use crate::oauth::redirect;
use crate::oauth::request::{self, Asked, AuthorizationRequest, Denied};
use crate::problem::{Answer, Refusal, kind};

pub(super) async fn handler(
    call: PublicCall,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let shown = async {
        let signed_in = signed_in(&call, &headers).await?;
        let request = match open(&call, &query).await? {
            Ok(request) => request,
            Err(denied) => return Ok(send_back(&call, &denied, signed_in.is_some())),
        };
        match signed_in {
            Some((user, secret)) if Asked::read(&query).get("prompt") != Some("login") => {
                consent::show(&call, &request, &user, &secret, &query).await
            }
            _ => Ok(login::show(&call, &headers, &request.client, &query, None)),
        }
    };
    shown.await.unwrap_or_else(page::refusal)
}

/// Who has the browser, with the secret of their session.
pub(super) async fn signed_in(
    call: &PublicCall,
    headers: &HeaderMap,
) -> Answer<Option<(User, SecretString)>> {
    let Some(secret) = session::from_cookies(headers) else {
        return Ok(None);
    };
    let sessions = call.state.store.sessions();
    let found = sessions.find_valid(session::hash(&secret)).await?;
    Ok(found.map(|(_, user)| (user, secret)))
}

/// Reads and judges what a client asks for.
///
/// # Errors
/// A refusal for the person, as long as nobody knows that the redirect address is the client's; what
/// is wrong after that is for the client.
pub(super) async fn open(
    call: &PublicCall,
    query: &str,
) -> Answer<Result<AuthorizationRequest, Denied>> {
    let state = &call.state;
    let wrong = |sentence: &str| Refusal::new(kind::INVALID_QUERY, sentence);
    let asked = Asked::read(query);
    if asked.is_ambiguous() {
        return Err(wrong(
            "The address has a parameter twice. Begin anew in the program.",
        ));
    }
    let id = asked.get("client_id");
    let id = id.ok_or_else(|| wrong("The address does not say which program sent you here."))?;
    if document::is_address(id) {
        throttle::document(state, call.meta.source_ip).await?;
    }
    let client = client::find(&state.store, &state.documents, id).await?;
    let redirect = asked.get("redirect_uri");
    let redirect = redirect
        .filter(|redirect| client.may_be_answered_at(redirect))
        .ok_or_else(|| {
            wrong(
                "The program wants the answer at an address that is not one of its own. If you \
                 did not begin this sign-in yourself, close this page.",
            )
        })?
        .to_owned();
    let base = state.config.base_url();
    Ok(request::judge(&base, &asked, client, redirect))
}

/// Tells the client what was wrong. Anybody may register a client, so a browser in which nobody is
/// signed in is not sent on by itself (RFC 9700, section 4.11.2): our name in a link would vouch for
/// wherever it leads.
fn send_back(call: &PublicCall, denied: &Denied, signed_in: bool) -> Response {
    let answer = [
        ("error", denied.error),
        ("error_description", denied.description),
    ];
    let issuer = call.state.config.base_url();
    let state = denied.state.as_deref();
    let Some(location) = request::answer_to(&issuer, &denied.redirect_uri, state, &answer) else {
        return page::problem(StatusCode::BAD_REQUEST, denied.description);
    };
    if signed_in {
        return page::go(&location);
    }
    let body = format!(
        "<p class=\"wrong\">The program asked for something that is not possible: {}.</p>\n\
         <p><a href=\"{}\" rel=\"noreferrer\">Go back</a> to {}.</p>\n",
        text(denied.description),
        text(&location),
        text(&redirect::shown(&denied.redirect_uri)),
    );
    page::page(
        StatusCode::BAD_REQUEST,
        "This sign-in can not go on",
        &body,
        None,
    )
}
