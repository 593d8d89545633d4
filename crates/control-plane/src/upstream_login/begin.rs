//! Begins a login: finds out where, registers where that is needed, and makes the address that the
//! owner opens. It is one of ours: only the browser in which the owner is signed in with us is sent on.

use agentopia_domain::instance::Instance;
use agentopia_domain::token::TokenHash;
use agentopia_remote::{RemoteClient, RemoteUrl};
use agentopia_store::LoginAttempt;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use url::Url;
use uuid::Uuid;

use super::discovery::discover;
use super::identity::{self, Given, Identity};
use super::sealed::{self, Counter, Pending};
use super::{ATTEMPT_LIFE, CALLBACK_PATH, metadata};
use crate::problem::{Answer, Refusal, kind};
use crate::state::AppState;

/// A login that was begun.
#[derive(Debug)]
pub struct Begun {
    /// What the owner opens.
    pub url: String,
    /// Who will ask for their consent.
    pub issuer: String,
    /// Until when they have to be back.
    pub expires_at: DateTime<Utc>,
}

/// Begins a login at the server of `instance`. `scope` is asked for in place of what the server wants.
///
/// # Errors
/// A refusal that says what is in the way.
pub async fn begin(
    state: &AppState,
    instance: &Instance,
    given: Option<Given>,
    scope: Option<String>,
) -> Answer<Begun> {
    let cant = |why: String| Refusal::new(kind::LOGIN_NOT_POSSIBLE, why);
    let remote = instance.remote.as_ref().ok_or_else(|| {
        cant("it runs on your machine: only servers that run elsewhere are logged in at".into())
    })?;
    let url = RemoteUrl::new(remote.url.clone()).map_err(|error| cant(error.to_string()))?;
    let found = discover(&state.remote, &url).await.map_err(cant)?;
    let base = state.config.base_url();
    let before = state
        .store
        .upstream_logins()
        .get_unscoped(instance.id)
        .await?;
    let issuer = found.server.issuer.clone();
    let given = match given {
        Some(given) => Some(given),
        None => given_before(state, instance, &issuer).await?,
    };
    let client = identity::choose(&state.remote, &found.server, &base, given)
        .await
        .map_err(|why| cant(format!("its authorization server {issuer}: {why}")))?;
    // What was asked for in vain is asked for with what there was.
    let scope = scope.or_else(|| {
        let (had, wanted) = before
            .as_ref()
            .and_then(|before| Some((before.scope.clone(), before.wanted_scope.clone()?)))?;
        let all = [found.scope.as_deref(), had.as_deref(), Some(&wanted)];
        Some(metadata::together(all.into_iter().flatten()))
    });
    let scope = scope.or(found.scope);
    let address = |text: &str| {
        Url::parse(text).map_err(|_| cant(format!("{issuer} has an endpoint that is no address")))
    };
    let revocation = found.server.revocation_endpoint.as_deref();
    let (verifier, ticket) = (random(state), random(state));
    let redirect_uri = format!("{base}{CALLBACK_PATH}");
    let mut page = address(&found.server.authorization_endpoint)?;
    {
        let challenge = Sha256::digest(verifier.expose_secret().as_bytes());
        let mut query = page.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("state", ticket.expose_secret())
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &found.resource);
        if let Some(scope) = &scope {
            query.append_pair("scope", scope);
        }
    }
    let pending = Pending {
        verifier,
        page,
        issuer: issuer.clone(),
        says_issuer: found.server.authorization_response_iss_parameter_supported,
        scope,
        redirect_uri,
        counter: Counter {
            token_endpoint: address(&found.server.token_endpoint)?,
            revocation_endpoint: revocation.map(address).transpose()?,
            resource: found.resource,
            client,
        },
    };
    let sealed_id: Uuid = state.ambient.new_id();
    let whose = (instance.account_id, instance.id);
    let sealed = sealed::seal(&*state.vault, whose, sealed_id, &pending)
        .await
        .map_err(Refusal::internal)?;
    let expires_at = state.ambient.now() + ATTEMPT_LIFE;
    let attempt = LoginAttempt {
        instance_id: instance.id,
        account_id: instance.account_id,
        state_hash: TokenHash::of(ticket.expose_secret()),
        browser_hash: None,
        sealed_id,
        sealed,
        expires_at,
    };
    state.store.upstream_logins().begin(attempt).await?;
    Ok(Begun {
        url: format!("{base}/oauth/upstream?state={}", ticket.expose_secret()),
        issuer,
        expires_at,
    })
}

/// The client that the owner gave for the login before, if that was at the same authorization server.
async fn given_before(
    state: &AppState,
    instance: &Instance,
    issuer: &str,
) -> Answer<Option<Given>> {
    let logins = state.store.upstream_logins();
    let Some(login) = logins.get_unscoped(instance.id).await? else {
        return Ok(None);
    };
    let given = login
        .given
        .filter(|_| login.issuer.as_deref() == Some(issuer));
    let Some((id, sealed)) = given else {
        return Ok(None);
    };
    let whose = (login.account_id, login.instance_id);
    let client: Identity = sealed::open(&*state.vault, whose, id, &sealed).await?;
    Ok(Some(Given {
        id: client.id,
        secret: client.secret.map(|secret| secret.0),
    }))
}

/// Whether the browser may be sent to `page`: what was judged when the login was begun still holds.
///
/// # Errors
/// Why not.
pub async fn check_page(client: &RemoteClient, page: &Url) -> Result<(), String> {
    let url = RemoteUrl::new(page.clone()).map_err(|error| error.to_string())?;
    client.check(&url).await.map_err(|error| error.to_string())
}

fn random(state: &AppState) -> SecretString {
    let bytes = zeroize::Zeroizing::new(state.ambient.random::<32>());
    SecretString::from(URL_SAFE_NO_PAD.encode(*bytes))
}
