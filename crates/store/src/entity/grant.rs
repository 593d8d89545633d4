//! What people allowed MCP clients. See `migration/` for the columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_grants")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) agent_id: Option<Uuid>,
    pub(crate) instance_id: Option<Uuid>,
    pub(crate) resource: String,
    pub(crate) client_id: String,
    pub(crate) client_name: String,
    pub(crate) client_host: String,
    pub(crate) redirect_uri: String,
    pub(crate) code_hash: String,
    pub(crate) code_challenge: String,
    pub(crate) code_expires_at: i64,
    pub(crate) redeemed_at: Option<i64>,
    pub(crate) last_used_at: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) revoked_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
