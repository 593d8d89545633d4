//! Running copies of catalog entries. See `migration/` for the columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "account_tool_instances")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) environment_id: Uuid,
    pub(crate) catalog_entry_id: Uuid,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) running_version: Option<String>,
    pub(crate) versions: Option<String>,
    pub(crate) config: String,
    pub(crate) resources: String,
    pub(crate) direct_access: Option<String>,
    pub(crate) egress: Option<String>,
    pub(crate) remote: Option<String>,
    pub(crate) idle_seconds: Option<i64>,
    pub(crate) last_used_at: Option<i64>,
    pub(crate) asleep_since: Option<i64>,
    pub(crate) desired: String,
    pub(crate) purge_data: bool,
    pub(crate) generation: i64,
    pub(crate) restart_nonce: i64,
    pub(crate) observed_generation: i64,
    pub(crate) status: String,
    pub(crate) progress: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) runtime: String,
    pub(crate) observed: Option<String>,
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
