//! Signing in by e-mail and password, for the API and for the sign-in page of MCP clients' logins.
//!
//! An unknown address, a disabled user and a wrong password get the same answer after the same
//! work, so that nobody can find out who has an account here.

use agentopia_domain::UserId;
use agentopia_domain::event::{Actor, ObjectKind, Outcome};
use http::HeaderMap;
use secrecy::SecretString;
use uuid::Uuid;

use super::session::Begun;
use super::{password, session, throttle};
use crate::http::extract::PublicCall;
use crate::problem::{Answer, Refusal, kind};

/// Begins a session of whoever has this address and password.
///
/// # Errors
/// The same refusal for whatever is wrong; another one for too many attempts.
pub async fn sign_in(
    call: &PublicCall,
    headers: &HeaderMap,
    email: &str,
    password: SecretString,
) -> Answer<Begun> {
    let state = &call.state;
    // What is no address at all is nobody's: it goes the way of unknown ones.
    let email = password::normalise_email(email).unwrap_or_else(|_| email.trim().to_lowercase());
    throttle::sign_in(state, &email, call.meta.source_ip).await?;
    let found = state.store.users().credentials_by_email(&email).await?;
    let (user, hash) = match found {
        Some(found) => (Some(found.user), found.password_hash),
        None => (None, None),
    };
    let right = state.passwords.verify(password, hash).await?;
    let Some(user) = user.clone().filter(|user| right && !user.disabled) else {
        let account = user.as_ref().map(|user| user.id.into());
        let object = user.map_or_else(Uuid::nil, |user| user.id.as_uuid());
        let event = call
            .event(
                account,
                Actor::Anonymous,
                "session.denied",
                (ObjectKind::User, object),
                "a sign-in was refused",
            )
            .outcome(Outcome::Denied);
        state.store.events().append(&[event]).await?;
        return Err(Refusal::new(
            kind::WRONG_CREDENTIALS,
            "e-mail address and password do not belong together, or the account is disabled",
        ));
    };
    throttle::forgive(state, &email, call.meta.source_ip).await?;
    let id: UserId = user.id;
    session::begin(state, user, headers, |object| {
        call.event(
            Some(id.into()),
            Actor::User(id),
            "session.created",
            object,
            "signed in",
        )
    })
    .await
}
