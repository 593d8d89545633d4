//! Who is calling which endpoint. A token that is good but not for this endpoint gets the same
//! answer as an endpoint that does not exist. Who shows none that is good is told where to get one
//! (RFC 9728), for endpoints that exist as for others.

use agentopia_domain::token::{TokenHash, TokenKind, kind_of};
use agentopia_domain::{AgentId, InstanceId};
use axum::response::Response;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{Door, answer};
use crate::clients::Target;
use crate::core::Core;
use crate::principal::Principal;
use crate::routes::TokenRoute;

/// The endpoint, by the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Agent(Option<AgentId>),
    Instance(Option<InstanceId>),
}

/// Whom the request speaks for and which endpoint it may use.
pub(super) async fn check(
    core: &Core,
    headers: &HeaderMap,
    endpoint: Endpoint,
    door: Door,
) -> Result<(Principal, Target), Response> {
    let unauthorised = |had_token| {
        let base = core.config.public_url.as_deref();
        let metadata = base.and_then(|base| metadata_url(base, endpoint, door));
        answer::unauthorised(had_token, metadata.as_deref())
    };
    let had_token = headers.contains_key(AUTHORIZATION);
    let bearer = bearer(headers);
    let kind = bearer.and_then(kind_of);
    let hash = bearer.map(TokenHash::of);
    let route = match (kind, hash, endpoint) {
        (Some(TokenKind::Agent), Some(hash), _) => valid_token(core, hash),
        (Some(TokenKind::Access), Some(hash), Endpoint::Agent(_)) => valid_login(core, hash).await,
        _ => None,
    };
    if let Some(route) = route {
        let target = reachable(core, &route, &endpoint).ok_or_else(answer::unknown_endpoint)?;
        let principal = Principal::Agent {
            agent_id: route.agent_id,
            token: route.credential(),
        };
        return Ok((principal, target));
    }
    // Unknown and foreign instances get the same answer, with and without a credential.
    let (Endpoint::Instance(Some(id)), true) = (endpoint, kind != Some(TokenKind::Agent)) else {
        return Err(unauthorised(had_token));
    };
    let route = core.routes.load().instances.get(&id).cloned();
    let Some(route) = route else {
        return Err(unauthorised(had_token));
    };
    match core.authoriser.authorise(headers, &route).await {
        Some(person) => Ok((Principal::Person(person), Target::Instance(id))),
        None => Err(unauthorised(had_token)),
    }
}

/// Where the endpoint's metadata is (RFC 9728, section 3.1). Made of what the address means, so that
/// nothing that a client wrote comes back to it in a header.
fn metadata_url(base: &str, endpoint: Endpoint, door: Door) -> Option<String> {
    let (noun, id) = match endpoint {
        Endpoint::Agent(id) => ("agents", id?.as_uuid()),
        Endpoint::Instance(id) => ("instances", id?.as_uuid()),
    };
    let door = match door {
        Door::Mcp => "mcp",
        Door::Sse | Door::Messages => "sse",
    };
    Some(format!(
        "{base}/.well-known/oauth-protected-resource/{noun}/{id}/{door}"
    ))
}

/// The one bearer token that the headers have.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else {
        return None;
    };
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What the token of a browser login opens now. One that another replica gave a moment ago is not in
/// the table yet, and its client would take a refusal for the end of the login.
async fn valid_login(core: &Core, token: TokenHash) -> Option<TokenRoute> {
    if core.routes.load().tokens.contains_key(&token) {
        return valid_token(core, token);
    }
    core.authoriser.login(token).await
}

/// What a token opens now. Found by its hash: 256 random bits leave nothing to a comparison's timing.
fn valid_token(core: &Core, token: TokenHash) -> Option<TokenRoute> {
    let route = *core.routes.load().tokens.get(&token)?;
    let is_good = route.expires_at.is_none_or(|end| core.ambient.now() < end);
    is_good.then_some(route)
}

fn reachable(core: &Core, token: &TokenRoute, endpoint: &Endpoint) -> Option<Target> {
    let routes = core.routes.load();
    let agent = token.agent_id;
    match *endpoint {
        Endpoint::Agent(Some(id)) if id == agent && routes.agents.contains_key(&id) => {
            Some(Target::Agent(id))
        }
        // A browser login was for the one endpoint that the consent page named.
        Endpoint::Instance(Some(id))
            if token.login.is_none()
                && routes.instances.contains_key(&id)
                && routes.is_open(agent, id) =>
        {
            Some(Target::Instance(id))
        }
        _ => None,
    }
}
