//! Tokens: for a code, for a refresh token, and never again for either.
//!
//! Clients are public (they run on people's machines and could keep no secret): what proves them is
//! the PKCE verifier and that codes and refresh tokens work once. One that comes twice was stolen
//! from somebody, and nobody can tell from whom, so the whole grant ends (RFC 9700, section 4.14).

use agentopia_domain::event::{NewEvent, ObjectKind, Outcome};
use agentopia_domain::oauth::Grant;
use agentopia_domain::token::{self, NewToken, TokenHash, TokenKind};
use agentopia_store::{GrantTokenKind, NewGrantToken, StoreError};
use secrecy::SecretString;

use super::request::Asked;
use super::{ACCESS_LIFE, REFRESH_LIFE, USED_CLIENT_LIFE, owned, pkce, resource, scope};
use crate::state::AppState;

/// The tokens of one answer.
#[derive(Debug)]
pub struct Issued {
    /// Opens the endpoint.
    pub access: SecretString,
    /// For the next pair.
    pub refresh: SecretString,
}

/// Why there are no tokens: the error's name in the standards and a sentence for developers.
#[derive(Debug)]
pub enum Refused {
    /// The client's fault.
    Client(&'static str, &'static str),
    /// Ours.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The same sentence for whatever is wrong, so that nothing can be found out by trying.
const BAD_CODE: Refused = Refused::Client(
    "invalid_grant",
    "the code is unknown, used or over, or was given for other parameters; begin anew",
);
const BAD_REFRESH: Refused = Refused::Client(
    "invalid_grant",
    "the refresh token is unknown, used, over or taken back; begin anew",
);

/// Gives tokens for what a client posted.
///
/// # Errors
/// See [`Refused`].
pub async fn tokens(state: &AppState, form: &Asked) -> Result<Issued, Refused> {
    if form.is_ambiguous() {
        return Err(Refused::Client(
            "invalid_request",
            "a parameter is there twice",
        ));
    }
    match form.get("grant_type") {
        Some("authorization_code") => by_code(state, form).await,
        Some("refresh_token") => by_refresh(state, form).await,
        Some(_) => Err(Refused::Client(
            "unsupported_grant_type",
            "grant_type must be authorization_code or refresh_token",
        )),
        None => Err(missing("grant_type is missing")),
    }
}

async fn by_code(state: &AppState, form: &Asked) -> Result<Issued, Refused> {
    let client = form
        .get("client_id")
        .ok_or(missing("client_id is missing"))?;
    let code = form.get("code").ok_or(missing("code is missing"))?;
    let redirect = form
        .get("redirect_uri")
        .ok_or(missing("redirect_uri is missing"))?;
    let verifier = form
        .get("code_verifier")
        .ok_or(missing("code_verifier is missing"))?;
    let hash = hash_of(TokenKind::Code, code).ok_or(BAD_CODE)?;
    let found = state.store.grants().by_code_unscoped(hash).await?;
    let found = found.ok_or(BAD_CODE)?;
    let grant = &found.grant;
    if grant.redeemed_at.is_some() {
        came_twice(state, grant, "a code").await?;
        return Err(BAD_CODE);
    }
    let fits = grant.client.id == client
        && found.redirect_uri == redirect
        && pkce::proves(verifier, &found.challenge)
        && state.ambient.now() < found.expires_at
        && grant.revoked_at.is_none();
    if !fits || !may_use(state, grant).await? {
        return Err(BAD_CODE);
    }
    same_resource(state, form, grant)?;
    let (issued, stored) = mint(state);
    let grants = state.store.grants();
    if !grants.redeem_unscoped(grant.id, &stored, &[]).await? {
        // Somebody was faster with the same code.
        came_twice(state, grant, "a code").await?;
        return Err(BAD_CODE);
    }
    keep_client(state, client).await?;
    state.wake.routes();
    Ok(issued)
}

async fn by_refresh(state: &AppState, form: &Asked) -> Result<Issued, Refused> {
    let client = form
        .get("client_id")
        .ok_or(missing("client_id is missing"))?;
    let text = form
        .get("refresh_token")
        .ok_or(missing("refresh_token is missing"))?;
    if !scope::fits(form.get("scope")) {
        return Err(Refused::Client("invalid_scope", "the only scope is mcp"));
    }
    let hash = hash_of(TokenKind::Refresh, text).ok_or(BAD_REFRESH)?;
    let found = state.store.grants().by_token_unscoped(hash).await?;
    let found = found
        .filter(|found| found.kind == GrantTokenKind::Refresh && found.grant.client.id == client)
        .ok_or(BAD_REFRESH)?;
    let (grant, now) = (&found.grant, state.ambient.now());
    if found.used_at.is_some() {
        came_twice(state, grant, "a refresh token").await?;
        return Err(BAD_REFRESH);
    }
    if now >= found.expires_at || !grant.is_live(now) || !may_use(state, grant).await? {
        return Err(BAD_REFRESH);
    }
    same_resource(state, form, grant)?;
    let (issued, stored) = mint(state);
    let grants = state.store.grants();
    if !grants.rotate_unscoped(grant.id, hash, &stored).await? {
        came_twice(state, grant, "a refresh token").await?;
        return Err(BAD_REFRESH);
    }
    keep_client(state, client).await?;
    state.wake.routes();
    Ok(issued)
}

/// Ends the grant of a token that its client gives back (RFC 7009). What is unknown or another
/// client's changes nothing and is told nothing.
///
/// # Errors
/// See [`Refused`].
pub async fn revoke(state: &AppState, form: &Asked) -> Result<(), Refused> {
    let text = form.get("token").ok_or(missing("token is missing"))?;
    let client = form
        .get("client_id")
        .ok_or(missing("client_id is missing"))?;
    let Some(TokenKind::Access | TokenKind::Refresh) = token::kind_of(text) else {
        return Ok(());
    };
    let hash = TokenHash::of(text);
    let Some(found) = state.store.grants().by_token_unscoped(hash).await? else {
        return Ok(());
    };
    let grant = found.grant;
    if grant.client.id != client {
        return Ok(());
    }
    let message = format!("{} signed itself out", grant.client.name);
    let event = event(&grant, "grant.revoked", message);
    end(state, &grant, event).await
}

async fn came_twice(state: &AppState, grant: &Grant, what: &str) -> Result<(), Refused> {
    let message = format!(
        "{what} of {} came a second time; its access was ended, because one of the two was stolen",
        grant.client.name
    );
    let event = event(grant, "grant.reuse_detected", message).outcome(Outcome::Denied);
    end(state, grant, event).await
}

async fn end(state: &AppState, grant: &Grant, event: NewEvent) -> Result<(), Refused> {
    let grants = state.store.grants();
    match grants.revoke(grant.account_id, grant.id, &[event]).await {
        Ok(_) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    state.wake.routes();
    state.events.ring();
    Ok(())
}

fn event(grant: &Grant, kind: &'static str, message: String) -> NewEvent {
    let object = (ObjectKind::Grant, grant.id.as_uuid());
    NewEvent::system(grant.account_id, kind, object, message).data(serde_json::json!({
        "agent_id": grant.audience.agent(),
        "instance_id": grant.audience.instance(),
        "client_id": grant.client.id,
    }))
}

/// Whether the person may still use what they agreed to.
async fn may_use(state: &AppState, grant: &Grant) -> Result<bool, Refused> {
    let user = match state.store.users().get(grant.user_id).await {
        Ok(user) => user,
        Err(StoreError::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let has = owned::has(&state.store, grant.account_id, grant.audience);
    Ok(!user.disabled && has.await?)
}

/// A client may name the endpoint again; another one it does not get.
fn same_resource(state: &AppState, form: &Asked, grant: &Grant) -> Result<(), Refused> {
    let Some(asked) = form.get("resource") else {
        return Ok(());
    };
    let asked = resource::parse(&state.config.base_url(), asked);
    if asked.is_some_and(|asked| asked.url == grant.resource) {
        return Ok(());
    }
    Err(Refused::Client(
        "invalid_target",
        "the person agreed to another resource; begin anew for this one",
    ))
}

fn mint(state: &AppState) -> (Issued, [NewGrantToken; 2]) {
    let access = token::mint(TokenKind::Access, &state.ambient);
    let refresh = token::mint(TokenKind::Refresh, &state.ambient);
    let now = state.ambient.now();
    let stored = |token: &NewToken, kind, life| NewGrantToken {
        hash: token.hash,
        kind,
        expires_at: now + life,
    };
    let stored = [
        stored(&access, GrantTokenKind::Access, ACCESS_LIFE),
        stored(&refresh, GrantTokenKind::Refresh, REFRESH_LIFE),
    ];
    let issued = Issued {
        access: access.secret,
        refresh: refresh.secret,
    };
    (issued, stored)
}

async fn keep_client(state: &AppState, client: &str) -> Result<(), Refused> {
    if let Ok(id) = client.parse() {
        let until = state.ambient.now() + USED_CLIENT_LIFE;
        state.store.oauth_clients().keep_unscoped(id, until).await?;
    }
    Ok(())
}

fn hash_of(kind: TokenKind, text: &str) -> Option<TokenHash> {
    (token::kind_of(text) == Some(kind)).then(|| TokenHash::of(text))
}

const fn missing(what: &'static str) -> Refused {
    Refused::Client("invalid_request", what)
}
