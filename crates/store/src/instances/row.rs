//! Between rows and instances. The secrets' mapping stands in a table of its own, so that the
//! database itself keeps a value that is in use.

use std::collections::{BTreeMap, HashMap};

use agentopia_domain::SecretId;
use agentopia_domain::idle::Idle;
use agentopia_domain::instance::{DesiredInstance, Instance};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use super::{DIRECT_ACCESS, EGRESS, REMOTE, VERSIONS, WHAT, sleep};
use crate::convert::{corrupt, from_json, from_word, name, time, time_opt};
use crate::entity::catalog_entry;
use crate::entity::instance::Model;
use crate::entity::instance_secret as mapping;
use crate::error::StoreError;

pub(super) const RUNNING: &str = "running";
pub(super) const STOPPED: &str = "stopped";
const REMOVED: &str = "removed";

/// The two columns of what the owner wants.
pub(super) fn split_desired(desired: DesiredInstance) -> (&'static str, bool) {
    match desired {
        DesiredInstance::Running => (RUNNING, false),
        DesiredInstance::Stopped => (STOPPED, false),
        DesiredInstance::Removed { purge_data } => (REMOVED, purge_data),
    }
}

fn join_desired(word: &str, purge_data: bool) -> Result<DesiredInstance, StoreError> {
    Ok(match word {
        RUNNING => DesiredInstance::Running,
        STOPPED => DesiredInstance::Stopped,
        REMOVED => DesiredInstance::Removed { purge_data },
        _ => return Err(corrupt("account_tool_instances.desired", "unknown word")),
    })
}

/// Reads the secrets of all rows at once, and what the catalog says of idle times, and joins them.
pub(crate) async fn to_instances(
    connection: &impl ConnectionTrait,
    rows: Vec<Model>,
) -> Result<Vec<Instance>, StoreError> {
    let mut secrets: HashMap<Uuid, BTreeMap<String, SecretId>> = HashMap::new();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    // Well below the number of bound values that either engine takes (SQLite: 32,766).
    for some in ids.chunks(1000) {
        let found = mapping::Entity::find()
            .filter(mapping::Column::InstanceId.is_in(some.iter().copied()))
            .all(connection)
            .await?;
        for one in found {
            secrets
                .entry(one.instance_id)
                .or_default()
                .insert(one.name, one.secret_id.into());
        }
    }
    let idle = idle_times(connection, &rows).await?;
    rows.into_iter()
        .map(|row| {
            let secrets = secrets.remove(&row.id).unwrap_or_default();
            let idle = idle.get(&row.catalog_entry_id).copied();
            to_instance(row, secrets, idle)
        })
        .collect()
}

/// The idle times of those catalog entries that have one; nothing is read where no row asks for it.
async fn idle_times(
    connection: &impl ConnectionTrait,
    rows: &[Model],
) -> Result<HashMap<Uuid, u32>, StoreError> {
    use catalog_entry::{Column, Entity};
    if rows.iter().all(|row| row.idle_seconds.is_some()) {
        return Ok(HashMap::new());
    }
    let found: Vec<(Uuid, i64)> = Entity::find()
        .select_only()
        .columns([Column::Id, Column::IdleSeconds])
        .filter(Column::IdleSeconds.is_not_null())
        .into_tuple()
        .all(connection)
        .await?;
    let wrong = |_| corrupt("tool_catalog.idle_seconds", "no idle time");
    found
        .into_iter()
        .map(|(id, seconds)| Ok((id, seconds.try_into().map_err(wrong)?)))
        .collect()
}

pub(super) async fn one(
    connection: &impl ConnectionTrait,
    row: Option<Model>,
) -> Result<Instance, StoreError> {
    let row = row.ok_or(StoreError::not_found(WHAT))?;
    let mut found = to_instances(connection, vec![row]).await?;
    found.pop().ok_or(StoreError::not_found(WHAT))
}

fn to_instance(
    row: Model,
    secrets: BTreeMap<String, SecretId>,
    catalog_idle: Option<u32>,
) -> Result<Instance, StoreError> {
    Ok(Instance {
        id: row.id.into(),
        account_id: row.account_id.into(),
        environment_id: row.environment_id.into(),
        catalog_entry_id: row.catalog_entry_id.into(),
        name: name("account_tool_instances.name", row.name)?,
        version: row.version,
        running_version: row.running_version,
        versions: (row.versions)
            .map(|text| from_json(VERSIONS, &text))
            .transpose()?
            .unwrap_or_default(),
        config: from_json("account_tool_instances.config", &row.config)?,
        secrets,
        resources: from_json("account_tool_instances.resources", &row.resources)?,
        direct_access: (row.direct_access)
            .map(|text| from_json(DIRECT_ACCESS, &text))
            .transpose()?,
        egress: (row.egress)
            .map(|text| from_json(EGRESS, &text))
            .transpose()?
            .unwrap_or_default(),
        remote: (row.remote)
            .map(|text| from_json(REMOTE, &text))
            .transpose()?,
        idle: Idle {
            setting: sleep::setting_of(row.idle_seconds)
                .ok_or_else(|| corrupt("account_tool_instances.idle_seconds", "no idle time"))?,
            catalog: catalog_idle,
        },
        last_used_at: time_opt("account_tool_instances.last_used_at", row.last_used_at)?,
        asleep_since: time_opt("account_tool_instances.asleep_since", row.asleep_since)?,
        desired: join_desired(&row.desired, row.purge_data)?,
        generation: row.generation,
        restart_nonce: row.restart_nonce,
        observed_generation: row.observed_generation,
        status: from_word("account_tool_instances.status", &row.status)?,
        progress: row.progress,
        error_message: row.error_message,
        runtime: from_json("account_tool_instances.runtime", &row.runtime)?,
        created_at: time("account_tool_instances.created_at", row.created_at)?,
        updated_at: time("account_tool_instances.updated_at", row.updated_at)?,
    })
}
