//! `GET /api/v1/secrets`: the account's secrets, never their values.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use agentopia_api::page::PageQuery;
use agentopia_api::secret::{Secret, SecretCarrier, SecretUse};
use agentopia_api::{Page, Problem};
use agentopia_domain::name::Name;
use agentopia_domain::page::{MAX_LIMIT, PageRequest};
use agentopia_domain::secret::SecretRecord;
use agentopia_domain::{AgentId, SecretId};
use agentopia_store::{InstanceFilter, LinkFilter};
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

/// The account's secrets with the instances that read them and the agents whose links carry them; never
/// a value.
#[utoipa::path(
    get,
    path = "/api/v1/secrets",
    operation_id = "list_secrets",
    tag = "secrets",
    security(("session" = []), ("token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "A page of secrets", body = Page<Secret>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<PageQuery>,
) -> Answer<Json<Page<Secret>>> {
    let request = cursor::page_request("secrets", query.cursor.as_deref(), query.limit)?;
    let page = call.store().secrets().list(call.account(), request).await?;
    let mut uses = uses(&call).await?;
    Ok(Json(cursor::page("secrets", page, |record| {
        let used = uses.remove(&record.id).unwrap_or_default();
        secret(record, used)
    })))
}

/// Who needs a secret.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Instances that read it.
    pub(super) instances: Vec<SecretUse>,
    /// Agents whose links carry it.
    pub(super) links: Vec<SecretCarrier>,
}

pub(super) fn secret(record: SecretRecord, used: Uses) -> Secret {
    Secret {
        id: record.id,
        name: record.name,
        revision: record.revision,
        used_by: used.instances,
        carried_by: used.links,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }
}

/// For each secret of the account, who needs it.
pub(super) async fn uses(call: &Call) -> Answer<HashMap<SecretId, Uses>> {
    let mut uses: HashMap<SecretId, Uses> = HashMap::new();
    read_by(call, &mut uses).await?;
    carried_by(call, &mut uses).await?;
    Ok(uses)
}

async fn read_by(call: &Call, uses: &mut HashMap<SecretId, Uses>) -> Answer<()> {
    let mut request = PageRequest {
        after: None,
        limit: MAX_LIMIT,
    };
    loop {
        let page = call
            .store()
            .instances()
            .list(call.account(), &InstanceFilter::default(), request)
            .await?;
        for instance in page.items {
            let ids: BTreeSet<SecretId> = instance.secrets.values().copied().collect();
            for id in ids {
                uses.entry(id).or_default().instances.push(SecretUse {
                    instance_id: instance.id,
                    instance_name: instance.name.clone(),
                });
            }
        }
        request.after = page.next;
        if request.after.is_none() {
            return Ok(());
        }
    }
}

async fn carried_by(call: &Call, uses: &mut HashMap<SecretId, Uses>) -> Answer<()> {
    let mut names: HashMap<AgentId, Name> = HashMap::new();
    let mut request = PageRequest {
        after: None,
        limit: MAX_LIMIT,
    };
    loop {
        let page = call
            .store()
            .links()
            .list(call.account(), LinkFilter::default(), request)
            .await?;
        for link in page.items.iter().filter(|link| !link.secrets.is_empty()) {
            let name = match names.entry(link.agent_id) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(place) => {
                    let agents = call.store().agents();
                    let agent = agents.get(call.account(), link.agent_id).await?;
                    place.insert(agent.name).clone()
                }
            };
            let ids: BTreeSet<SecretId> = link.secrets.values().map(|own| own.id).collect();
            for id in ids {
                uses.entry(id).or_default().links.push(SecretCarrier {
                    agent_id: link.agent_id,
                    agent_name: name.clone(),
                    instance_id: link.instance_id,
                });
            }
        }
        request.after = page.next;
        if request.after.is_none() {
            return Ok(());
        }
    }
}
