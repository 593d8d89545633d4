//! The consent page, and `POST /oauth/consent`, which its form is sent to.
//!
//! It is shown every time: a client that was let in once is not let in silently again, because anybody
//! can send a browser here in its name (the confused deputy of MCP's security best practices).

use std::fmt::Write as _;

use agentopia_domain::GrantId;
use agentopia_domain::event::{Actor, ObjectKind, Outcome};
use agentopia_domain::link::Link;
use agentopia_domain::oauth::{Audience, ClientShown};
use agentopia_domain::page::{MAX_LIMIT, PageRequest};
use agentopia_domain::token::{self, TokenHash, TokenKind};
use agentopia_domain::user::User;
use agentopia_domain::{AccountId, AgentId};
use agentopia_store::{LinkFilter, NewGrant};
use axum::extract::RawQuery;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

use super::fields::Fields;
use super::page::{self, text};
use super::{authorize, login};
use crate::auth::csrf;
use crate::http::extract::PublicCall;
use crate::oauth::request::{self, AuthorizationRequest};
use crate::oauth::{CODE_LIFE, owned, redirect};
use crate::problem::{Answer, Refusal, kind};
use crate::state::AppState;

/// The page.
pub(super) async fn show(
    call: &PublicCall,
    request: &AuthorizationRequest,
    user: &User,
    secret: &SecretString,
    query: &str,
) -> Answer<Response> {
    let about = match about(&call.state, request, user.id.into()).await? {
        Some(about) => about,
        None => return Ok(not_yours(user, query)),
    };
    let client = &request.client;
    let vouched = client.vouched_by.as_ref().map_or_else(
        || "It registered itself under this name; nobody has verified it.".to_owned(),
        |host| format!("It is published at <strong>{}</strong>.", text(host)),
    );
    let body = format!(
        "<p><strong>{client}</strong> wants to use {what}. {vouched}</p>\n<dl>\n{tools}\
         <dt>Your answer goes to</dt><dd>{host}</dd>\n\
         <dt>You are signed in as</dt><dd>{email} (<a href=\"/oauth/authorize?{again}&amp;prompt=login\">\
         not you?</a>)</dd>\n</dl>\n\
         <p>It can use them in your name until you take it back. Go on only if you have just begun \
         this in the program yourself.</p>\n\
         <form method=\"post\" action=\"/oauth/consent?{query}\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         <button name=\"decision\" value=\"allow\">Allow</button>\n\
         <button name=\"decision\" value=\"deny\">Don't allow</button>\n</form>\n",
        client = text(&client.name),
        what = about.what,
        tools = about.tools,
        host = text(&redirect::shown(&request.redirect_uri)),
        email = text(&user.email),
        query = text(query),
        again = text(&login::without_prompt(query)),
        csrf = form_token(secret, query),
    );
    let also = redirect::source(&request.redirect_uri);
    Ok(page::page(
        StatusCode::OK,
        "Allow access?",
        &body,
        also.as_deref(),
    ))
}

pub(super) async fn handler(
    call: PublicCall,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    Fields(form): Fields,
) -> Response {
    let query = query.unwrap_or_default();
    let done = async {
        login::check_origin(&call.state, &headers)?;
        let again = || Ok(page::go(&format!("/oauth/authorize?{query}")));
        let Some((user, secret)) = authorize::signed_in(&call, &headers).await? else {
            return again();
        };
        let sent = form.get("csrf").unwrap_or_default();
        if !csrf::same(&form_token(&secret, &query), sent) {
            return Err(Refusal::new(
                kind::CSRF,
                "This form is not the one that you were shown. Go back and load the page again.",
            ));
        }
        let Ok(request) = authorize::open(&call, &query).await? else {
            return again();
        };
        match form.get("decision") {
            Some("allow") => allow(&call, &request, &user, &query).await,
            _ => Ok(answer(
                &call.state,
                &request,
                &[
                    ("error", "access_denied"),
                    ("error_description", "the person did not allow it"),
                ],
            )),
        }
    };
    done.await.unwrap_or_else(page::refusal)
}

async fn allow(
    call: &PublicCall,
    request: &AuthorizationRequest,
    user: &User,
    query: &str,
) -> Answer<Response> {
    let state = &call.state;
    let account = AccountId::from(user.id);
    let Some(about) = about(state, request, account).await? else {
        return Ok(not_yours(user, query));
    };
    let code = token::mint(TokenKind::Code, &state.ambient);
    let id: GrantId = state.ambient.new_id();
    let client = &request.client;
    let event = call
        .event(
            Some(account),
            Actor::User(user.id),
            "grant.created",
            (ObjectKind::Grant, id),
            format!("let {} use {}", client.name, about.name),
        )
        .outcome(Outcome::Succeeded)
        .data(serde_json::json!({
            "agent_id": request.resource.audience.agent(),
            "instance_id": request.resource.audience.instance(),
            "client_id": client.id,
        }));
    let new = NewGrant {
        id,
        account_id: account,
        user_id: user.id,
        user_updated_at: user.updated_at,
        audience: request.resource.audience,
        resource: request.resource.url.clone(),
        client: ClientShown {
            id: client.id.clone(),
            name: client.name.clone(),
            host: redirect::shown(&request.redirect_uri),
        },
        redirect_uri: request.redirect_uri.clone(),
        code_hash: code.hash,
        code_challenge: request.challenge.clone(),
        code_expires_at: state.ambient.now() + CODE_LIFE,
    };
    state.store.grants().create(new, &[event]).await?;
    state.events.ring();
    Ok(answer(
        state,
        request,
        &[("code", code.secret.expose_secret())],
    ))
}

fn answer(state: &AppState, request: &AuthorizationRequest, answer: &[(&str, &str)]) -> Response {
    let issuer = state.config.base_url();
    let asked = request.state.as_deref();
    match request::answer_to(&issuer, &request.redirect_uri, asked, answer) {
        Some(location) => page::go(&location),
        None => page::problem(
            StatusCode::BAD_REQUEST,
            "The program's address can not be gone back to.",
        ),
    }
}

/// Good for this session and this request alone.
fn form_token(secret: &SecretString, query: &str) -> String {
    let secret = secret.expose_secret();
    let made = zeroize::Zeroizing::new(format!("agentopia consent v1:{secret}:{query}"));
    TokenHash::of(&made).to_hex()
}

/// What a consent is about.
struct About {
    /// In a sentence, as HTML.
    what: String,
    /// In the timeline.
    name: String,
    /// Entries of the page's list, as HTML.
    tools: String,
}

/// `None` where there is no such thing, or it is somebody else's.
async fn about(
    state: &AppState,
    request: &AuthorizationRequest,
    account: AccountId,
) -> Answer<Option<About>> {
    match request.resource.audience {
        Audience::Agent(id) => agent(state, account, id).await,
        Audience::Instance(id) => {
            let found = owned::instance(&state.store, account, id).await?;
            Ok(found.map(|instance| About {
                what: format!(
                    "the tool instance <strong>{}</strong>",
                    text(instance.name.as_str())
                ),
                name: format!("the instance {}", instance.name),
                tools: String::new(),
            }))
        }
    }
}

async fn agent(state: &AppState, account: AccountId, id: AgentId) -> Answer<Option<About>> {
    let Some(agent) = owned::agent(&state.store, account, id).await? else {
        return Ok(None);
    };
    let mut tools = String::from("<dt>Tools of this agent now</dt>\n");
    let links = links(state, account, id).await?;
    if links.is_empty() {
        tools.push_str("<dd>none yet</dd>\n");
    }
    for link in links {
        let instances = state.store.instances();
        let instance = instances.get(account, link.instance_id).await?;
        let some = link
            .policy
            .allowed_tools
            .map_or_else(String::new, |allowed| {
                let names: Vec<String> = allowed.into_iter().collect();
                format!(": {}", names.join(", "))
            });
        let _ = writeln!(
            tools,
            "<dd>{}{}</dd>",
            text(instance.name.as_str()),
            text(&some)
        );
    }
    Ok(Some(About {
        what: format!("the agent <strong>{}</strong>", text(agent.name.as_str())),
        name: format!("the agent {}", agent.name),
        tools,
    }))
}

async fn links(state: &AppState, account: AccountId, agent: AgentId) -> Answer<Vec<Link>> {
    let filter = LinkFilter {
        agent_id: Some(agent),
        ..LinkFilter::default()
    };
    let mut request = PageRequest {
        after: None,
        limit: MAX_LIMIT,
    };
    let mut links = Vec::new();
    loop {
        let page = state.store.links().list(account, filter, request).await?;
        links.extend(page.items.into_iter().filter(|link| link.enabled));
        request.after = page.next;
        if request.after.is_none() {
            return Ok(links);
        }
    }
}

/// The same for what does not exist and for what is somebody else's.
fn not_yours(user: &User, query: &str) -> Response {
    let body = format!(
        "<p class=\"wrong\">The account of {} has no such agent or tool. Look at the address that \
         the program connects to.</p>\n\
         <p><a href=\"/oauth/authorize?{}&amp;prompt=login\">Sign in as somebody else</a></p>\n",
        text(&user.email),
        text(&login::without_prompt(query)),
    );
    page::page(StatusCode::NOT_FOUND, "Not found", &body, None)
}
