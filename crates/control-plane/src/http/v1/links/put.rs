//! `PUT /api/v1/agents/{id}/links/{instance_id}`: lets an agent use an instance.

use std::collections::BTreeMap;

use agentopia_api::Problem;
use agentopia_api::link::{Link, PutLinkRequest};
use agentopia_domain::event::ObjectKind;
use agentopia_domain::link::LinkPolicy;
use agentopia_domain::{AgentId, InstanceId, LinkId, SecretId};
use agentopia_store::{LinkPatch, NewLink, StoreError};
use axum::Json;

use super::find::find;
use super::secrets;
use super::words::words;
use crate::http::extract::{Body, Call, PathIds};
use crate::problem::{Answer, Refusal};

/// The longest name that every MCP client takes.
const MAX_TOOL_NAME: usize = 64;
/// Characters; the longest that well-known servers have are about a third of it.
const MAX_DESCRIPTION: usize = 8_192;
/// The most tools that one policy names.
const MAX_TOOLS: usize = 1000;

/// Makes the link of an agent to an instance, or changes it.
#[utoipa::path(
    put,
    path = "/api/v1/agents/{id}/links/{instance_id}",
    operation_id = "put_link",
    tag = "agents",
    security(("session" = []), ("token" = [])),
    params(
        ("id" = AgentId, Path, description = "The agent"),
        ("instance_id" = InstanceId, Path, description = "The instance"),
    ),
    request_body(content = PutLinkRequest, description = "May be left out"),
    responses(
        (status = 200, description = "As it stands now", body = Link),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_input, unknown_secret, missing_secret, link_secrets_unsupported", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    PathIds(agent, instance): PathIds<AgentId, InstanceId>,
    body: Option<Body<PutLinkRequest>>,
) -> Answer<Json<Link>> {
    let request = body.map(|Body(request)| request).unwrap_or_default();
    check(&request.policy)?;
    let found = find(&call, agent, instance).await?;
    let carried = secrets::wanted(&call, instance, found.as_ref(), &request).await?;
    let link = match found {
        Some(link) => change(&call, &link, &request, carried).await?,
        None => match create(&call, agent, instance, &request, carried.clone()).await {
            Ok(link) => link,
            // Somebody else made it at the same moment.
            Err(StoreError::Duplicate { .. }) => match find(&call, agent, instance).await? {
                Some(link) => change(&call, &link, &request, carried).await?,
                None => return Err(Refusal::not_found("link")),
            },
            Err(error) => return Err(error.into()),
        },
    };
    call.state.wake.routes();
    Ok(Json(link.into()))
}

async fn create(
    call: &Call,
    agent: AgentId,
    instance: InstanceId,
    request: &PutLinkRequest,
    secrets: Option<BTreeMap<String, SecretId>>,
) -> Result<agentopia_domain::link::Link, StoreError> {
    let id: LinkId = call.new_id();
    let words = words(call, "may use", agent, instance).await?;
    let event = call
        .event("link.created", (ObjectKind::Link, id), words)
        .data(serde_json::json!({
            "agent_id": agent,
            "instance_id": instance,
            "secrets": secrets.as_ref().map(|own| own.keys().collect::<Vec<_>>()),
        }));
    let new = NewLink {
        id,
        account_id: call.account(),
        agent_id: agent,
        instance_id: instance,
        enabled: request.enabled,
        policy: request.policy.clone(),
        secrets: secrets.unwrap_or_default(),
    };
    call.store().links().create(new, &[event]).await
}

async fn change(
    call: &Call,
    link: &agentopia_domain::link::Link,
    request: &PutLinkRequest,
    secrets: Option<BTreeMap<String, SecretId>>,
) -> Answer<agentopia_domain::link::Link> {
    let verb = if request.enabled {
        "may use"
    } else {
        "may for now not use"
    };
    let words = words(call, verb, link.agent_id, link.instance_id).await?;
    let names = secrets.as_ref().map(|own| own.keys().collect::<Vec<_>>());
    let event = call
        .event("link.updated", (ObjectKind::Link, link.id), words)
        .data(serde_json::json!({
            "agent_id": link.agent_id,
            "instance_id": link.instance_id,
            "secrets": names,
        }));
    let patch = LinkPatch {
        enabled: Some(request.enabled),
        policy: Some(request.policy.clone()),
        secrets,
    };
    let changed = call
        .store()
        .links()
        .update(call.account(), link.id, patch, &[event])
        .await?;
    Ok(changed.value)
}

fn check(policy: &LinkPolicy) -> Answer<()> {
    let count = policy.allowed_tools.as_ref().map_or(0, Vec::len)
        + policy.renamed_tools.len()
        + policy.described_tools.len();
    if count > MAX_TOOLS {
        return Err(Refusal::field(
            "policy",
            format!("name at most {MAX_TOOLS} tools"),
        ));
    }
    let mut shown = std::collections::BTreeSet::new();
    for (tool, name) in &policy.renamed_tools {
        let fits = (1..=MAX_TOOL_NAME).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !fits {
            return Err(Refusal::field(
                format!("policy.renamed_tools.{tool}"),
                "use 1 to 64 letters, digits, `_`, `-` and `.`",
            ));
        }
        if !shown.insert(name) {
            return Err(Refusal::field(
                format!("policy.renamed_tools.{tool}"),
                "two tools can't have the same name",
            ));
        }
    }
    for (tool, text) in &policy.described_tools {
        let length = text.chars().count();
        let is_text = text
            .chars()
            .all(|c| c == '\n' || c == '\t' || !c.is_control());
        if !(1..=MAX_DESCRIPTION).contains(&length) || !is_text {
            return Err(Refusal::field(
                format!("policy.described_tools.{tool}"),
                format!("use 1 to {MAX_DESCRIPTION} characters of text"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(pairs: &[(&str, &str)]) -> LinkPolicy {
        LinkPolicy {
            renamed_tools: pairs
                .iter()
                .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
                .collect(),
            ..LinkPolicy::default()
        }
    }

    #[test]
    fn new_names_are_ones_that_every_client_takes() {
        assert!(check(&renamed(&[("a", "my_tool-2.x")])).is_ok());
        for bad in ["", "a b", "ä", &"x".repeat(65), "a\n"] {
            assert!(check(&renamed(&[("a", bad)])).is_err(), "{bad:?}");
        }
        assert!(check(&renamed(&[("a", "x"), ("b", "x")])).is_err());
    }

    #[test]
    fn descriptions_are_texts_of_a_sensible_length() {
        let described = |text: &str| LinkPolicy {
            described_tools: [("a".to_owned(), text.to_owned())].into(),
            ..LinkPolicy::default()
        };
        assert!(check(&described("Reads Größen.\n\tAnd more.")).is_ok());
        for bad in ["", "a\0", "a\u{1b}[31m", &"x".repeat(MAX_DESCRIPTION + 1)] {
            assert!(check(&described(bad)).is_err(), "{bad:?}");
        }
    }
}
