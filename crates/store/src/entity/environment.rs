//! The one machine of an account. See `migration/` for the columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "account_tool_environments")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) provider: String,
    pub(crate) desired: String,
    pub(crate) generation: i64,
    pub(crate) status: String,
    pub(crate) status_since: i64,
    pub(crate) machine_id: Option<String>,
    pub(crate) ip_address: Option<String>,
    pub(crate) dtma_port: Option<i64>,
    pub(crate) region: Option<String>,
    pub(crate) size: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) scaling: Option<String>,
    pub(crate) firewall: Option<String>,
    pub(crate) monthly_price_cents: Option<i64>,
    pub(crate) machine_disk_bytes: Option<i64>,
    pub(crate) provider_created_at: Option<i64>,
    pub(crate) last_heartbeat_at: Option<i64>,
    pub(crate) error_message: Option<String>,
    pub(crate) notice: Option<String>,
    pub(crate) dtma_version: Option<String>,
    pub(crate) capacity: Option<String>,
    pub(crate) runtime: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) due_at: i64,
    pub(crate) wakes: i64,
    pub(crate) lease_owner: Option<String>,
    pub(crate) lease_token: i64,
    pub(crate) lease_until: Option<i64>,
    pub(crate) lease_wakes: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
