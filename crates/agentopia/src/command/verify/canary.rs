//! The canary: a tool is deployed, given to an agent, called through the agent's public endpoint,
//! and all of it removed again, whatever came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use agentopia_api::agent::{Agent, CreateAgentRequest};
use agentopia_api::instance::{DeployRequest, Instance};
use agentopia_api::link::PutLinkRequest;
use agentopia_api::token::CreateAgentTokenRequest;
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::name::Name;
use agentopia_domain::verification::Check;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::client::Client;
use crate::command::agents::call;
use crate::command::tools::watch::{Goal, watch};
use crate::failure::Failure;
use crate::progress::Progress;

pub(super) const NAME: &str = "canary";
/// What the tool and the agent are called. One name for all runs: what an interrupted one left is
/// seen by the next, and two at the same time don't remove each other's.
const OWN: &str = "verify-canary";
const TOOL: &str = "echo";
const SONG: &str = "the canary sings";
/// How long the agent's token is good, should nobody take it back.
const TOKEN_SECONDS: u64 = 600;
/// How long the call may take.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How long taking it away may take.
const REMOVAL_LIMIT: Duration = Duration::from_secs(60);

/// What was made and has to be removed.
#[derive(Debug, Default)]
struct Made {
    instance: Option<Instance>,
    agent: Option<Agent>,
}

pub(super) async fn sing(client: &Client, limit: Duration, progress: &mut Progress) -> Check {
    let mut made = Made::default();
    let sung = attempt(client, limit, progress, &mut made).await;
    progress.step("removing the canary");
    let removed = remove(client, made, progress).await;
    match (sung, removed) {
        (Ok(took), Ok(())) => Check::ok(
            NAME,
            format!(
                "a tool was deployed, called through an agent's endpoint in {} ms, and removed",
                took.as_millis()
            ),
        ),
        (Ok(_), Err(left)) => Check::warning(NAME, format!("the call went well, but {left}")),
        (Err(failure), Ok(())) => Check::failed(NAME, failure.message()),
        (Err(failure), Err(left)) => {
            Check::failed(NAME, format!("{}; and {left}", failure.message()))
        }
    }
}

/// Deploys and calls; how long the call took. What it makes is written to `made` as it comes about.
async fn attempt(
    client: &Client,
    limit: Duration,
    progress: &mut Progress,
    made: &mut Made,
) -> Result<Duration, Failure> {
    let environment = client.environment().await?;
    if environment.is_none_or(|it| it.status != EnvironmentStatus::Active) {
        return Err(Failure::NotFound(
            "your account has no environment that is on, and one may cost money: turn it on with \
             `agentopia env enable`, then verify again"
                .to_owned(),
        ));
    }
    nothing_is_left(client).await?;
    let name = Name::parse(OWN).map_err(|error| Failure::other(error, OWN))?;
    progress.step("deploying the canary");
    let request = DeployRequest {
        catalog: TOOL.to_owned(),
        name: Some(name.clone()),
        version: None,
        config: Map::new(),
        secrets: BTreeMap::new(),
        allow_from: Vec::new(),
        url: None,
        egress: None,
        idle: IdleSetting::Inherit,
    };
    let deployed = made.instance.insert(client.deploy(&request).await?).clone();
    let instance = watch(client, deployed, Goal::Running, limit, progress).await?;
    progress.step("calling the canary as an agent does");
    let request = CreateAgentRequest {
        name: name.clone(),
        description: "made by `agentopia verify --canary`, which removes it again".to_owned(),
        search_mode: false,
        calls_per_day: 0,
    };
    let agent = made
        .agent
        .insert(client.create_agent(&request).await?)
        .clone();
    client
        .put_link(agent.id, instance.id, &PutLinkRequest::default())
        .await?;
    let request = CreateAgentTokenRequest {
        name,
        expires_in_seconds: Some(TOKEN_SECONDS),
    };
    let token = client.create_agent_token(agent.id, &request).await?;
    let began = Instant::now();
    let arguments = Map::from_iter([("text".to_owned(), json!(SONG))]);
    let called = call::call(&agent.mcp_url, &token.token, TOOL, arguments);
    let result = tokio::time::timeout(CALL_LIMIT, called)
        .await
        .map_err(|_| {
            Failure::TimedOut(format!(
                "{} gave no answer within {} s: look at public_url.answer, and at the server's log",
                agent.mcp_url,
                CALL_LIMIT.as_secs()
            ))
        })??;
    if !has_sung(&result) {
        return Err(Failure::Other(anyhow::anyhow!(
            "the tool answered something else than what it was told: {result}"
        )));
    }
    Ok(began.elapsed())
}

fn has_sung(result: &Value) -> bool {
    let contents = result["content"].as_array().into_iter().flatten();
    let mut texts = contents.filter_map(|content| content["text"].as_str());
    result["isError"] != true && texts.any(|text| text.contains(SONG))
}

async fn nothing_is_left(client: &Client) -> Result<(), Failure> {
    let instances = client.instances(false).await?;
    let agents = client.agents().await?;
    let left = instances.iter().any(|it| it.name.as_str() == OWN)
        || agents.iter().any(|it| it.name.as_str() == OWN);
    if left {
        return Err(Failure::Other(anyhow::anyhow!(
            "a canary is there already: another verification runs, or one was interrupted; then \
             remove what it left with `agentopia tools rm {OWN}` and `agentopia agents rm {OWN}`"
        )));
    }
    Ok(())
}

/// Takes away what was made; else a sentence about what is left.
async fn remove(client: &Client, made: Made, progress: &mut Progress) -> Result<(), String> {
    let mut left = Vec::new();
    if let Some(agent) = made.agent
        && let Err(error) = client.remove_agent(agent.id).await
    {
        left.push(format!(
            "the agent {OWN} is left ({error}): `agentopia agents rm {OWN}`"
        ));
    }
    if let Some(instance) = made.instance
        && let Err(failure) = remove_instance(client, &instance, progress).await
    {
        let why = failure.message();
        left.push(format!(
            "the tool {OWN} is left ({why}): `agentopia tools rm {OWN}`"
        ));
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(left.join("; "))
    }
}

async fn remove_instance(
    client: &Client,
    instance: &Instance,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let removing = client.remove_instance(instance.id, true).await?;
    match watch(client, removing, Goal::Gone, REMOVAL_LIMIT, progress).await {
        // It is gone so thoroughly that nobody knows it any more.
        Ok(_) | Err(Failure::Said) => Ok(()),
        Err(failure) => Err(failure),
    }
}
