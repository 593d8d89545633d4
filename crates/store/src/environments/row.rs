//! Between rows and environments.

use std::net::IpAddr;

use agentopia_domain::environment::Environment;
use sea_orm::ActiveValue::Set;

use super::EnvironmentPatch;
use crate::convert::{corrupt, from_json, from_word, json, micros, time, time_opt};
use crate::entity::environment::{ActiveModel, Model};
use crate::error::StoreError;

pub(super) const SCALING: &str = "account_tool_environments.scaling";
const NOTICE: &str = "account_tool_environments.notice";
const FIREWALL: &str = "account_tool_environments.firewall";

/// What a patch writes.
pub(super) fn to_change(patch: EnvironmentPatch) -> Result<ActiveModel, StoreError> {
    let mut change = ActiveModel::default();
    macro_rules! take {
        ($($field:ident => $convert:expr),+ $(,)?) => {$(
            if let Some(value) = patch.$field {
                change.$field = Set(value.map($convert));
            }
        )+};
    }
    take! {
        machine_id => |text| text,
        ip_address => |ip: IpAddr| ip.to_string(),
        dtma_port => i64::from,
        region => |text| text,
        size => |text| text,
        image => |text| text,
        provider_created_at => micros,
        last_heartbeat_at => micros,
        error_message => |text| text,
        dtma_version => |text| text,
        runtime => |text| text,
        monthly_price_cents => i64::from,
        machine_disk_bytes => |bytes| i64::try_from(bytes).unwrap_or(i64::MAX),
    }
    if let Some(scaling) = patch.scaling {
        let text = scaling.map(|scaling| json(SCALING, &scaling));
        change.scaling = Set(text.transpose()?);
    }
    if let Some(notice) = patch.notice {
        let text = notice.map(|notice| json(NOTICE, &notice));
        change.notice = Set(text.transpose()?);
    }
    if let Some(firewall) = patch.firewall {
        let text = firewall.map(|firewall| json(FIREWALL, &firewall));
        change.firewall = Set(text.transpose()?);
    }
    if let Some(capacity) = patch.capacity {
        let text = capacity.map(|capacity| json("account_tool_environments.capacity", &capacity));
        change.capacity = Set(text.transpose()?);
    }
    Ok(change)
}

/// What a row says.
pub(crate) fn to_environment(row: Model) -> Result<Environment, StoreError> {
    let ip_address = row.ip_address.map(|text| {
        text.parse()
            .map_err(|error| corrupt("account_tool_environments.ip_address", error))
    });
    let dtma_port = row.dtma_port.map(|port| {
        u16::try_from(port).map_err(|error| corrupt("account_tool_environments.dtma_port", error))
    });
    let capacity = row
        .capacity
        .map(|text| from_json("account_tool_environments.capacity", &text));
    let scaling = row.scaling.map(|text| from_json(SCALING, &text));
    let notice = row.notice.map(|text| from_json(NOTICE, &text));
    let firewall = row.firewall.map(|text| from_json(FIREWALL, &text));
    let monthly_price_cents = row.monthly_price_cents.map(|cents| {
        u32::try_from(cents)
            .map_err(|error| corrupt("account_tool_environments.monthly_price_cents", error))
    });
    let machine_disk_bytes = row.machine_disk_bytes.map(|bytes| {
        u64::try_from(bytes)
            .map_err(|error| corrupt("account_tool_environments.machine_disk_bytes", error))
    });
    Ok(Environment {
        id: row.id.into(),
        account_id: row.account_id.into(),
        provider: from_word("account_tool_environments.provider", &row.provider)?,
        desired: from_word("account_tool_environments.desired", &row.desired)?,
        generation: row.generation,
        status: from_word("account_tool_environments.status", &row.status)?,
        status_since: time("account_tool_environments.status_since", row.status_since)?,
        machine_id: row.machine_id,
        ip_address: ip_address.transpose()?,
        dtma_port: dtma_port.transpose()?,
        region: row.region,
        size: row.size,
        image: row.image,
        scaling: scaling.transpose()?,
        firewall: firewall.transpose()?,
        monthly_price_cents: monthly_price_cents.transpose()?,
        machine_disk_bytes: machine_disk_bytes.transpose()?,
        provider_created_at: time_opt(
            "account_tool_environments.provider_created_at",
            row.provider_created_at,
        )?,
        last_heartbeat_at: time_opt(
            "account_tool_environments.last_heartbeat_at",
            row.last_heartbeat_at,
        )?,
        error_message: row.error_message,
        notice: notice.transpose()?,
        dtma_version: row.dtma_version,
        capacity: capacity.transpose()?,
        runtime: row.runtime,
        created_at: time("account_tool_environments.created_at", row.created_at)?,
        updated_at: time("account_tool_environments.updated_at", row.updated_at)?,
    })
}
