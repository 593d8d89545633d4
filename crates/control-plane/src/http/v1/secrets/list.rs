//! `GET /api/v1/secrets`: the account's secrets, never their values.

use std::collections::HashMap;

use agentopia_api::page::PageQuery;
use agentopia_api::secret::{Secret, SecretUse};
use agentopia_api::{Page, Problem};
use agentopia_domain::SecretId;
use agentopia_domain::page::{MAX_LIMIT, PageRequest};
use agentopia_domain::secret::SecretRecord;
use agentopia_store::InstanceFilter;
use axum::Json;

use crate::http::cursor;
use crate::http::extract::{Call, Params};
use crate::problem::Answer;

/// The account's secrets with the instances that read them; never a value.
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
        let used_by = uses.remove(&record.id).unwrap_or_default();
        secret(record, used_by)
    })))
}

pub(super) fn secret(record: SecretRecord, used_by: Vec<SecretUse>) -> Secret {
    Secret {
        id: record.id,
        name: record.name,
        revision: record.revision,
        used_by,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }
}

/// For each secret of the account, who reads it.
pub(super) async fn uses(call: &Call) -> Answer<HashMap<SecretId, Vec<SecretUse>>> {
    let mut uses: HashMap<SecretId, Vec<SecretUse>> = HashMap::new();
    let mut after = None;
    loop {
        let request = PageRequest {
            after,
            limit: MAX_LIMIT,
        };
        let page = call
            .store()
            .instances()
            .list(call.account(), &InstanceFilter::default(), request)
            .await?;
        for instance in page.items {
            let mut ids: Vec<SecretId> = instance.secrets.values().copied().collect();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                uses.entry(id).or_default().push(SecretUse {
                    instance_id: instance.id,
                    instance_name: instance.name.clone(),
                });
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(uses);
        }
    }
}
