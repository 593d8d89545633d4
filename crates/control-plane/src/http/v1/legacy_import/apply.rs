//! Makes what was planned, in an order in which each step finds what it needs. Cut off anywhere, the
//! next import makes the rest.

use agentopia_api::legacy::{ImportProblem, ImportStep, ImportedAccount, LegacyImport};
use agentopia_domain::event::{NewEvent, ObjectKind};
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::link::LinkPolicy;
use agentopia_domain::name::Name;
use agentopia_domain::{AgentId, EnvironmentId, InstanceId, LinkId};
use agentopia_store::{NewAgent, NewInstance, NewLink, Placement, StoreError};
use uuid::Uuid;

use super::plan::{Making, Planned};
use crate::http::extract::Call;
use crate::http::v1::environment::ensure::ensure;
use crate::http::v1::instances::check;
use crate::problem::{Answer, Refusal};

const WHY: &str = "imported from the earlier model";

pub(super) async fn apply(call: &Call, planned: Planned) -> Answer<LegacyImport> {
    let Planned {
        mut answer,
        makings,
    } = planned;
    let mut problems = Vec::new();
    for account in &mut answer.accounts {
        let environment = environment(call, account).await?;
        problems.extend(agents(call, account).await?);
        for index in 0..account.instances.len() {
            let Some(making) = makings.get(&account.instances[index].id) else {
                continue;
            };
            if account.instances[index].step != ImportStep::Create {
                continue;
            }
            if let Err(refusal) = instance(call, account, index, environment, making).await {
                let instance = &mut account.instances[index];
                instance.step = ImportStep::Failed;
                problems.push(ImportProblem {
                    table: "agent_droplet_tools".to_owned(),
                    id: instance.rows.join(", "),
                    problem: refusal.detail().to_owned(),
                });
            }
        }
        links(call, account).await?;
    }
    call.state.wake.routes();
    answer.problems.extend(problems);
    answer.applied = true;
    Ok(answer)
}

/// What the admin did in somebody else's account.
fn event(
    call: &Call,
    account: &ImportedAccount,
    kind: &'static str,
    object: (ObjectKind, impl Into<Uuid>),
    message: String,
) -> NewEvent {
    NewEvent {
        account_id: Some(account.account_id),
        ..call.event(kind, object, message)
    }
}

async fn environment(call: &Call, account: &ImportedAccount) -> Answer<Option<EnvironmentId>> {
    if account.environment == ImportStep::Exists {
        let found = call.store().environments().find(account.account_id).await?;
        return Ok(found.map(|environment| environment.id));
    }
    let placement = Placement {
        region: account.region.clone(),
        ..Placement::default()
    };
    let made = ensure(&call.state, account.account_id, placement, |object| {
        event(call, account, "environment.enabled", object, WHY.to_owned())
    });
    Ok(Some(made.await?.id))
}

async fn agents(call: &Call, account: &mut ImportedAccount) -> Answer<Vec<ImportProblem>> {
    let mut problems = Vec::new();
    for index in 0..account.agents.len() {
        let agent = account.agents[index].clone();
        if agent.step != ImportStep::Create {
            continue;
        }
        let message = format!("made the agent {}: {WHY}", agent.name);
        let event = event(
            call,
            account,
            "agent.created",
            (ObjectKind::Agent, agent.id),
            message,
        );
        let new = NewAgent {
            id: agent.id,
            account_id: account.account_id,
            name: name(&agent.name)?,
            description: String::new(),
            search_mode: false,
            calls_per_day: None,
        };
        match call.store().agents().create(new, &[event]).await {
            Ok(_) => {}
            Err(StoreError::Duplicate { .. }) => {
                account.agents[index].step = ImportStep::Failed;
                problems.push(ImportProblem {
                    table: "agent_droplets".to_owned(),
                    id: agent.rows.join(", "),
                    problem: format!(
                        "another user has an agent with the id {}, or this one an agent called {}: \
                         give it another id in the row, or another name here",
                        agent.id, agent.name
                    ),
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(problems)
}

async fn instance(
    call: &Call,
    account: &ImportedAccount,
    index: usize,
    environment: Option<EnvironmentId>,
    making: &Making,
) -> Answer<()> {
    let instance = &account.instances[index];
    let object = (ObjectKind::Instance, instance.id);
    let state = if instance.running {
        ""
    } else {
        ", stopped as it was there"
    };
    let message = format!(
        "deployed {} {} as {}{state}: {WHY}",
        instance.tool, instance.version, instance.name
    );
    let new = NewInstance {
        id: instance.id,
        account_id: account.account_id,
        environment_id: environment.ok_or_else(|| Refusal::not_found("environment"))?,
        catalog_entry_id: making.catalog_entry_id,
        name: name(&instance.name)?,
        version: instance.version.clone(),
        config: making.config.clone(),
        secrets: making.secrets.clone(),
        resources: making.resources,
        running: instance.running,
        // The earlier model knew no sources: its owner names them with a change of the instance.
        direct_access: None,
        egress: Default::default(),
        remote: None,
        idle: IdleSetting::Inherit,
    };
    let instances = call.store().instances();
    let deployed = event(call, account, "instance.deployed", object, message);
    instances.create(new, check::fits, &[deployed]).await?;
    call.state.wake.instance(instance.id);
    Ok(())
}

async fn links(call: &Call, account: &mut ImportedAccount) -> Answer<()> {
    let no_tools: Vec<InstanceId> = account
        .instances
        .iter()
        .filter(|it| it.step == ImportStep::Failed)
        .map(|it| it.id)
        .collect();
    let no_agents: Vec<AgentId> = account
        .agents
        .iter()
        .filter(|it| it.step == ImportStep::Failed)
        .map(|it| it.id)
        .collect();
    for index in 0..account.links.len() {
        let link = account.links[index].clone();
        if link.step != ImportStep::Create {
            continue;
        }
        if no_tools.contains(&link.instance_id) || no_agents.contains(&link.agent_id) {
            account.links[index].step = ImportStep::Failed;
            continue;
        }
        let id: LinkId = call.new_id();
        let message = format!("an agent may use a tool: {WHY}");
        let event = event(
            call,
            account,
            "link.created",
            (ObjectKind::Link, id),
            message,
        );
        let new = NewLink {
            id,
            account_id: account.account_id,
            agent_id: link.agent_id,
            instance_id: link.instance_id,
            enabled: true,
            policy: LinkPolicy::default(),
            secrets: std::collections::BTreeMap::new(),
        };
        match call.store().links().create(new, &[event]).await {
            Ok(_) => {}
            // Its owner removed the instance after an earlier import.
            Err(StoreError::NotFound { .. }) => account.links[index].step = ImportStep::Failed,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn name(text: &str) -> Answer<Name> {
    Name::parse(text).map_err(|error| Refusal::field("name", error.to_string()))
}
