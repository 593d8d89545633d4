//! Browser sessions: the cookie, and beginning one.

use agentopia_api::SESSION_COOKIE;
use agentopia_api::auth::Session;
use agentopia_domain::SessionId;
use agentopia_domain::event::{NewEvent, ObjectKind};
use agentopia_domain::token::TokenHash;
use agentopia_domain::user::User;
use agentopia_store::NewSession;
use axum_extra::extract::CookieJar;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::csrf;
use crate::config::Config;
use crate::problem::{Answer, Refusal};
use crate::state::AppState;

/// The longest `User-Agent` that is kept, in characters.
const MAX_USER_AGENT: usize = 200;

/// The secret in the session cookie, where there is one.
#[must_use]
pub fn from_cookies(headers: &HeaderMap) -> Option<SecretString> {
    CookieJar::from_headers(headers)
        .get(SESSION_COOKIE)
        .map(|cookie| SecretString::from(cookie.value().to_owned()))
}

/// What is stored of a session's secret.
#[must_use]
pub fn hash(secret: &SecretString) -> TokenHash {
    TokenHash::of(secret.expose_secret())
}

/// A session just begun: the cookie to set and what the page is told.
#[derive(Debug)]
pub struct Begun {
    /// `HttpOnly`, so scripts can't read it; `SameSite=Strict`, so other sites' links don't send
    /// it; `Secure` wherever we are reached by HTTPS.
    pub set_cookie: HeaderValue,
    /// For the page.
    pub session: Session,
}

/// Begins a session of `user`; `event` is completed with the session's id.
///
/// # Errors
/// The store's.
pub async fn begin(
    state: &AppState,
    user: User,
    headers: &HeaderMap,
    event: impl FnOnce((ObjectKind, SessionId)) -> NewEvent,
) -> Answer<Begun> {
    let random = zeroize::Zeroizing::new(state.ambient.random::<32>());
    let secret = SecretString::from(URL_SAFE_NO_PAD.encode(*random));
    let csrf_token = csrf::token(&secret);
    let id: SessionId = state.ambient.new_id();
    let lifetime = chrono::Duration::from_std(state.config.session_lifetime())
        .unwrap_or_else(|_| chrono::Duration::days(7));
    let expires_at = state.ambient.now() + lifetime;
    let event = event((ObjectKind::Session, id));
    state
        .store
        .sessions()
        .create(
            NewSession {
                id,
                user_id: user.id,
                user_updated_at: user.updated_at,
                token_hash: hash(&secret),
                csrf_hash: TokenHash::of(&csrf_token),
                expires_at,
                source_ip: event.source_ip.clone(),
                user_agent: headers
                    .get(http::header::USER_AGENT)
                    .and_then(|value| value.to_str().ok())
                    .map(|agent| agent.chars().take(MAX_USER_AGENT).collect()),
            },
            &[event],
        )
        .await?;
    Ok(Begun {
        set_cookie: set_cookie(
            &state.config,
            secret.expose_secret(),
            state.config.session_lifetime_seconds,
        )?,
        session: Session {
            user: user.into(),
            csrf_token: Some(csrf_token),
            expires_at: Some(expires_at),
        },
    })
}

/// The `Set-Cookie` that takes the session's cookie away.
///
/// # Errors
/// Never in fact.
pub fn removal(config: &Config) -> Answer<HeaderValue> {
    set_cookie(config, "", 0)
}

/// `value` is base64url or empty, so nothing in it needs quoting.
fn set_cookie(config: &Config, value: &str, max_age: u64) -> Answer<HeaderValue> {
    let secure = if config.is_https() { "; Secure" } else { "" };
    let text = zeroize::Zeroizing::new(format!(
        "{SESSION_COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age}{secure}"
    ));
    let mut header = HeaderValue::from_str(&text).map_err(Refusal::internal)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_closed_to_scripts_and_other_sites() {
        let mut config = Config::default();
        let plain = set_cookie(&config, "abc", 60).unwrap();
        assert_eq!(
            plain.to_str().unwrap(),
            "agentopia_session=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=60"
        );
        config.public_url = Some("https://a.example".parse().unwrap());
        let secure = set_cookie(&config, "abc", 60).unwrap();
        assert!(secure.to_str().unwrap().ends_with("; Secure"));
        assert!(!format!("{secure:?}").contains("abc"));
    }
}
