//! `GET /api/v1/instances/{id}/doctor`: what keeps an instance from serving.

use std::time::Duration;

use agentopia_api::Problem;
use agentopia_api::instance::Diagnosis;
use agentopia_domain::InstanceId;
use agentopia_domain::catalog::CatalogDefinition;
use agentopia_domain::instance::{Instance, InstanceStatus};
use agentopia_domain::page::{MAX_LIMIT, PageRequest};
use agentopia_dtma_api::to_dtma::LogQuery;
use agentopia_store::{LinkFilter, StoreError};
use axum::Json;
use futures::StreamExt as _;
use tokio::time::{Instant, timeout};

use super::check;
use crate::doctor::{LINES, Patient, diagnose};
use crate::http::extract::{Call, PathId};
use crate::problem::Answer;

/// How long the tool, or its machine for its log, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found when everything about an instance was looked at: its machine, settings, secrets and
/// login, its status, whether it answers MCP, and what its last lines mean. Nothing is changed, and what
/// sleeps is not woken.
#[utoipa::path(
    get,
    path = "/api/v1/instances/{id}/doctor",
    operation_id = "diagnose_instance",
    tag = "instances",
    security(("session" = []), ("token" = [])),
    params(("id" = InstanceId, Path, description = "The instance")),
    responses(
        (status = 200, description = "What was found", body = Diagnosis),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(call: Call, PathId(id): PathId<InstanceId>) -> Answer<Json<Diagnosis>> {
    let instance = call.store().instances().get(call.account(), id).await?;
    let patient = look(&call, instance).await?;
    let log = patient.log.as_ref().map_or(&[][..], Vec::as_slice);
    let last_words = log[log.len().saturating_sub(10)..].to_vec();
    Ok(Json(Diagnosis {
        checks: diagnose(&patient),
        last_words,
    }))
}

async fn look(call: &Call, instance: Instance) -> Answer<Patient> {
    let store = call.store();
    let entry = store.catalog().get(instance.catalog_entry_id).await?;
    let entry = entry.definition;
    let environment = match &instance.remote {
        Some(_) => None,
        None => {
            let environments = store.environments();
            let found = environments.get(call.account(), instance.environment_id);
            Some(found.await?)
        }
    };
    let login = match &instance.remote {
        Some(_) => store.upstream_logins().get_unscoped(instance.id).await?,
        None => None,
    };
    let (answer, log) = tokio::join!(answer(call, &instance), log(call, &instance));
    Ok(Patient {
        settings_problem: settings_problem(&entry, &instance),
        lost_secrets: lost_secrets(call, &instance).await?,
        login_problem: login.and_then(|login| login.problem),
        links: links(call, instance.id).await?,
        instance,
        entry,
        environment,
        answer,
        log,
    })
}

fn settings_problem(entry: &CatalogDefinition, instance: &Instance) -> Option<String> {
    let checked = check::config(entry, &instance.config);
    checked.err().map(|refusal| refusal.detail().to_owned())
}

async fn lost_secrets(call: &Call, instance: &Instance) -> Answer<Vec<String>> {
    let mut lost = Vec::new();
    for (variable, secret) in &instance.secrets {
        match call.store().secrets().get(call.account(), *secret).await {
            Ok(_) => {}
            Err(StoreError::NotFound { .. }) => lost.push(variable.clone()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(lost)
}

/// How many there are, and how many of them are switched on.
async fn links(call: &Call, instance: InstanceId) -> Answer<(usize, usize)> {
    let filter = LinkFilter {
        instance_id: Some(instance),
        ..LinkFilter::default()
    };
    let page = PageRequest {
        after: None,
        limit: MAX_LIMIT,
    };
    let links = call.store().links();
    let found = links.list(call.account(), filter, page).await?.items;
    let on = found.iter().filter(|link| link.enabled).count();
    Ok((found.len(), on))
}

async fn answer(call: &Call, instance: &Instance) -> Option<Result<(usize, Duration), String>> {
    if instance.status != InstanceStatus::Running {
        return None;
    }
    let begun = Instant::now();
    let asked = timeout(PATIENCE, call.state.gateway.tools(instance)).await;
    Some(match asked {
        Ok(Ok(tools)) => Ok((tools.len(), begun.elapsed())),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "it did not answer within {} seconds",
            PATIENCE.as_secs()
        )),
    })
}

async fn log(call: &Call, instance: &Instance) -> Result<Vec<String>, String> {
    if instance.remote.is_some() {
        return Err("a remote server keeps its own".to_owned());
    }
    let query = LogQuery {
        tail: LINES,
        follow: false,
    };
    let reading = async {
        let lines = call.state.machines.logs(instance, query).await;
        let lines = lines.map_err(|error| error.to_string())?;
        let lines: Vec<_> = lines.collect().await;
        // What came before a machine went away is worth having.
        let read = lines.into_iter().filter_map(Result::ok);
        Ok(read.map(|line| line.line).collect())
    };
    let read = timeout(PATIENCE, reading).await;
    read.unwrap_or_else(|_| Err("its machine does not answer".to_owned()))
}
