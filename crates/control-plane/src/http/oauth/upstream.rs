//! Logins at servers that run elsewhere, in which we are the client (AGT-7): the address that their
//! owner opens, the one that the authorization server sends the browser back to, and our metadata
//! document. The rules are in [`crate::upstream_login`].
//!
//! Who opens the address has to be signed in as the owner of the instance, and only the same browser may
//! come back: else somebody could have another person's consent end up in their own instance, or theirs
//! in another person's.

use agentopia_domain::AccountId;
use agentopia_domain::instance::Instance;
use agentopia_domain::token::TokenHash;
use agentopia_store::LoginAttempt;
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::fields::Fields;
use super::page::{self, text};
use super::{authorize, login};
use crate::http::extract::PublicCall;
use crate::oauth::owned;
use crate::oauth::request::Asked;
use crate::problem::{Answer, Refusal, kind};
use crate::state::AppState;
use crate::upstream_login::begin::check_page;
use crate::upstream_login::sealed::{self, Pending};
use crate::upstream_login::{complete, identity};

/// `GET /oauth/client.json`: who we are, for authorization servers that read it (CIMD).
pub(super) async fn document(State(state): State<AppState>) -> Json<Value> {
    Json(identity::document(&state.config.base_url()))
}

/// `GET /oauth/upstream?state=…`: sends the owner's browser on.
pub(super) async fn start(
    call: PublicCall,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let shown = async {
        let begun = Begun::read(&call.state, &query).await?;
        let Some((user, _)) = authorize::signed_in(&call, &headers).await? else {
            return Ok(begun.form().show(&call, &headers, None));
        };
        if AccountId::from(user.id) != begun.attempt.account_id {
            return Err(Refusal::new(
                kind::FORBIDDEN,
                format!(
                    "This login was begun by somebody else than {}. If you did not begin it yourself, \
                     close this page; else sign out here and open the address again.",
                    user.email
                ),
            ));
        }
        let state = &call.state;
        check_page(&state.remote, &begun.pending.page)
            .await
            .map_err(|why| Refusal::new(kind::LOGIN_NOT_POSSIBLE, why))?;
        let (secret, cookie) = login::browser(state, &headers);
        let (account, hash) = (begun.attempt.account_id, begun.attempt.state_hash);
        let browser = browser_hash(&secret, hash);
        state
            .store
            .upstream_logins()
            .bind(account, hash, browser)
            .await?;
        let mut response = page::go(begun.pending.page.as_str());
        let headers = response.headers_mut();
        let silent = http::HeaderValue::from_static("no-referrer");
        headers.insert(header::REFERRER_POLICY, silent);
        if let Some(cookie) = cookie {
            headers.append(header::SET_COOKIE, cookie);
        }
        Ok(response)
    };
    shown.await.unwrap_or_else(page::refusal)
}

/// `POST /oauth/upstream/login?state=…`: the sign-in form.
pub(super) async fn login(
    call: PublicCall,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    Fields(form): Fields,
) -> Response {
    let query = query.unwrap_or_default();
    let done = async {
        login::check_origin(&call.state, &headers)?;
        let begun = Begun::read(&call.state, &query).await?;
        match login::sent(&call, &headers, &form).await? {
            Ok(cookie) => {
                // A link, not a redirect: browsers hold where a form leads in the end against this page's
                // policy, and nobody knows over how many addresses a service sends people.
                let body = format!(
                    "<p>You are signed in. <a href=\"{}\">Go on to {}</a></p>\n",
                    text(&begun.here),
                    text(&begun.pending.issuer)
                );
                let mut response = page::page(StatusCode::OK, "Signed in", &body, None);
                response.headers_mut().append(header::SET_COOKIE, cookie);
                Ok(response)
            }
            Err(refusal) => Ok(begun.form().show(&call, &headers, Some(&refusal))),
        }
    };
    done.await.unwrap_or_else(page::refusal)
}

/// `GET /oauth/callback`: where authorization servers send browsers back to.
pub(super) async fn callback(
    call: PublicCall,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::read(&query.unwrap_or_default());
    let name = back(&call, &headers, &asked).await;
    match name {
        Ok(name) => {
            let body = format!(
                "<p>The tool <strong>{}</strong> is logged in. You can close this page.</p>\n",
                text(&name)
            );
            page::page(StatusCode::OK, "Logged in", &body, None)
        }
        Err(refusal) => page::refusal(refusal),
    }
}

/// Takes what the browser brought; returns the instance's name.
async fn back(call: &PublicCall, headers: &HeaderMap, asked: &Asked) -> Answer<String> {
    let state = &call.state;
    let secret = login::from_cookie(headers).ok_or_else(over)?;
    let ticket = asked.get("state").filter(|_| !asked.is_ambiguous());
    let hash = TokenHash::of(ticket.ok_or_else(over)?);
    let browser = browser_hash(&secret, hash);
    let logins = state.store.upstream_logins();
    let attempt = logins.take_unscoped(hash, browser).await?;
    let attempt = attempt.ok_or_else(over)?;
    let instance = instance(state, &attempt).await?;
    let pending = open(state, &attempt).await?;
    let code = complete::code(&pending, asked).map_err(|why| {
        let issuer = &pending.issuer;
        let sentence = format!("{issuer}: {why}. Begin the login anew.");
        Refusal::new(kind::LOGIN_NOT_POSSIBLE, sentence)
    })?;
    let ip = call.meta.source_ip.map(|ip| ip.to_string());
    complete::redeem(state, &attempt, &instance, pending, &code, ip).await?;
    Ok(instance.name.to_string())
}

/// A login that was begun, as its address says.
struct Begun {
    attempt: LoginAttempt,
    pending: Pending,
    instance: String,
    /// The address itself.
    here: String,
}

impl Begun {
    async fn read(state: &AppState, query: &str) -> Answer<Self> {
        let asked = Asked::read(query);
        let ticket = asked.get("state").ok_or_else(over)?;
        let logins = state.store.upstream_logins();
        let attempt = logins.begun_unscoped(TokenHash::of(ticket)).await?;
        let attempt = attempt.ok_or_else(over)?;
        let pending = open(state, &attempt).await?;
        let instance = instance(state, &attempt).await?.name.to_string();
        // What was found has the form that we gave it, so nothing in it needs quoting.
        let here = format!("/oauth/upstream?state={ticket}");
        Ok(Self {
            attempt,
            pending,
            instance,
            here,
        })
    }

    fn form(&self) -> Form<'_> {
        Form(self)
    }
}

/// The sign-in form of a login that was begun.
struct Form<'a>(&'a Begun);

impl Form<'_> {
    fn show(&self, call: &PublicCall, headers: &HeaderMap, problem: Option<&Refusal>) -> Response {
        let begun = self.0;
        let why = format!(
            "You are about to log the tool <strong>{}</strong> in at <strong>{}</strong>. Sign in as \
             its owner first.",
            text(&begun.instance),
            text(&begun.pending.issuer)
        );
        let form = login::Form {
            why: &why,
            action: &begun.here.replacen("/upstream?", "/upstream/login?", 1),
        };
        form.show(call, headers, problem)
    }
}

async fn open(state: &AppState, attempt: &LoginAttempt) -> Answer<Pending> {
    let whose = (attempt.account_id, attempt.instance_id);
    let (id, sealed) = (attempt.sealed_id, &attempt.sealed);
    Ok(sealed::open(&*state.vault, whose, id, sealed).await?)
}

async fn instance(state: &AppState, attempt: &LoginAttempt) -> Answer<Instance> {
    let (account, id) = (attempt.account_id, attempt.instance_id);
    let found = owned::instance(&state.store, account, id).await?;
    found.ok_or_else(over)
}

/// Good for this browser and this login alone.
fn browser_hash(secret: &SecretString, state: TokenHash) -> TokenHash {
    let secret = secret.expose_secret();
    let made =
        zeroize::Zeroizing::new(format!("agentopia upstream v1:{secret}:{}", state.to_hex()));
    TokenHash::of(&made)
}

/// The same for whatever is not known, used, too old, or another browser's.
fn over() -> Refusal {
    Refusal::new(
        kind::NOT_FOUND,
        "This login is over, was begun in another browser, or never was. Begin it anew: `agentopia tools \
         login`.",
    )
}
