//! The middleware that stands before every handler of the API.

use agentopia_api::CSRF_HEADER;
use agentopia_domain::token::{self, TokenKind};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::SecretString;

use super::caller::{Caller, SignedInBy};
use super::permission::{self, Requirement};
use super::{csrf, internal, session};
use crate::problem::{Answer, Refusal, kind};
use crate::state::AppState;

/// The middleware. Refuses what the table of permissions does not know, then whom it does not
/// allow; hands the [`Caller`] on.
pub async fn authenticate(
    State(state): State<AppState>,
    matched: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    let writes = !request.method().is_safe();
    let Some(requirement) = permission::requirement(request.method().as_str(), matched.as_str())
    else {
        return not_allowed(matched.as_str());
    };
    match admit(&state, requirement, request.method(), request.headers()).await {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
        }
        Ok(None) => {}
        Err(refusal) => return refusal.into_response(),
    }
    let response = next.run(request).await;
    if writes && response.status().is_success() {
        // Whatever was changed wrote its events; let live streams look.
        state.events.ring();
    }
    response
}

async fn admit(
    state: &AppState,
    requirement: Requirement,
    method: &Method,
    headers: &HeaderMap,
) -> Answer<Option<Caller>> {
    match requirement {
        Requirement::Public => return Ok(None),
        Requirement::Internal => {
            internal::check(&state.config, headers)?;
            return Ok(None);
        }
        Requirement::Account(_) | Requirement::Session | Requirement::Admin => {}
    }
    let caller = find(state, headers).await?;
    permission::decide(requirement, caller.user.role, caller.means())?;
    if !method.is_safe()
        && let SignedInBy::Session { csrf_token, .. } = &caller.by
    {
        check_csrf(csrf_token, headers)?;
    }
    Ok(Some(caller))
}

/// What is not in the table is nobody's, whether there is a handler or not.
fn not_allowed(path: &str) -> Response {
    let allowed = permission::methods(path).join(", ");
    let refusal = Refusal::new(
        kind::METHOD_NOT_ALLOWED,
        format!("this address takes {allowed}"),
    );
    let mut response = refusal.into_response();
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

fn check_csrf(expected: &str, headers: &HeaderMap) -> Answer<()> {
    let sent = headers
        .get(CSRF_HEADER)
        .and_then(|value| value.to_str().ok());
    if sent.is_some_and(|sent| csrf::same(expected, sent)) {
        return Ok(());
    }
    Err(Refusal::new(
        kind::CSRF,
        "send the `csrf_token` of GET /api/v1/session in the header `X-CSRF-Token`",
    ))
}

/// Finds the caller: by bearer token where there is one, by session cookie otherwise.
async fn find(state: &AppState, headers: &HeaderMap) -> Answer<Caller> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer = value
            .to_str()
            .ok()
            .and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme
                    .eq_ignore_ascii_case("bearer")
                    .then(|| token.trim().to_owned())
            })
            .map(SecretString::from)
            .ok_or_else(|| {
                Refusal::new(
                    kind::NOT_SIGNED_IN,
                    "use `Authorization: Bearer pat_...` with a personal token",
                )
            })?;
        return by_token(state, &bearer).await;
    }
    by_cookie(state, headers).await
}

async fn by_token(state: &AppState, bearer: &SecretString) -> Answer<Caller> {
    let refused = || {
        Refusal::new(
            kind::NOT_SIGNED_IN,
            "the token is unknown, expired or revoked; make a new personal token",
        )
    };
    let hash = token::hash_if(TokenKind::Personal, bearer).ok_or_else(|| {
        Refusal::new(
            kind::NOT_SIGNED_IN,
            "this is no personal token; the API wants one that begins with pat_",
        )
    })?;
    let record = state
        .store
        .api_tokens()
        .by_hash_unscoped(hash)
        .await?
        .filter(|record| record.is_valid(state.ambient.now()))
        .ok_or_else(refused)?;
    let user = state.store.users().get(record.user_id).await?;
    if user.disabled {
        return Err(refused());
    }
    let stale = record
        .last_used_at
        .is_none_or(|used| state.ambient.now() - used >= chrono::Duration::minutes(1));
    if stale && let Err(error) = state.store.api_tokens().touch_unscoped(record.id).await {
        // Only a note; the request goes on without it.
        tracing::warn!(%error, "the use of a token could not be noted");
    }
    Ok(Caller {
        user,
        by: SignedInBy::Token(Box::new(record)),
    })
}

async fn by_cookie(state: &AppState, headers: &HeaderMap) -> Answer<Caller> {
    let refused = || {
        Refusal::new(
            kind::NOT_SIGNED_IN,
            "sign in at POST /api/v1/session, or use a personal token",
        )
    };
    let secret = session::from_cookies(headers).ok_or_else(refused)?;
    let (found, user) = state
        .store
        .sessions()
        .find_valid(session::hash(&secret))
        .await?
        .ok_or_else(refused)?;
    let stale = state.ambient.now() - found.last_seen_at >= chrono::Duration::minutes(1);
    if stale
        && let Err(error) = state
            .store
            .sessions()
            .touch(found.id, found.expires_at)
            .await
    {
        tracing::warn!(%error, "the use of a session could not be noted");
    }
    Ok(Caller {
        user,
        by: SignedInBy::Session {
            id: found.id,
            csrf_token: csrf::token(&secret),
            expires_at: found.expires_at,
        },
    })
}
