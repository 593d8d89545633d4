//! Who is calling which endpoint. A token that is good but not for this endpoint gets the same
//! answer as an endpoint that does not exist.

use agentopia_domain::token::{TokenHash, TokenKind, kind_of};
use agentopia_domain::{AgentId, InstanceId};
use axum::response::Response;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::answer;
use crate::clients::Target;
use crate::core::Core;
use crate::principal::Principal;

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
) -> Result<(Principal, Target), Response> {
    let had_token = headers.contains_key(AUTHORIZATION);
    if let Some(token) = agent_token(headers) {
        let agent_id = valid_agent(core, token).ok_or_else(|| answer::unauthorised(true))?;
        let target = reachable(core, agent_id, &endpoint).ok_or_else(answer::unknown_endpoint)?;
        return Ok((Principal::Agent { agent_id, token }, target));
    }
    // Unknown and foreign instances get the same answer, with and without a credential.
    let Endpoint::Instance(Some(id)) = endpoint else {
        return Err(answer::unauthorised(had_token));
    };
    let route = core.routes.load().instances.get(&id).cloned();
    let Some(route) = route else {
        return Err(answer::unauthorised(had_token));
    };
    match core.authoriser.authorise(headers, &route).await {
        Some(person) => Ok((Principal::Person(person), Target::Instance(id))),
        None => Err(answer::unauthorised(had_token)),
    }
}

/// The hash of an agent's token, if the header has one of the right form.
fn agent_token(headers: &HeaderMap) -> Option<TokenHash> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else {
        return None;
    };
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && kind_of(token) == Some(TokenKind::Agent))
        .then(|| TokenHash::of(token))
}

/// The agent that a token speaks for now. Found by its hash: 256 random bits leave nothing to a
/// comparison's timing.
fn valid_agent(core: &Core, token: TokenHash) -> Option<AgentId> {
    let route = *core.routes.load().tokens.get(&token)?;
    let is_good = route.expires_at.is_none_or(|end| core.ambient.now() < end);
    is_good.then_some(route.agent_id)
}

fn reachable(core: &Core, agent: AgentId, endpoint: &Endpoint) -> Option<Target> {
    let routes = core.routes.load();
    match *endpoint {
        Endpoint::Agent(Some(id)) if id == agent && routes.agents.contains_key(&id) => {
            Some(Target::Agent(id))
        }
        Endpoint::Instance(Some(id))
            if routes.instances.contains_key(&id) && routes.is_open(agent, id) =>
        {
            Some(Target::Instance(id))
        }
        _ => None,
    }
}
