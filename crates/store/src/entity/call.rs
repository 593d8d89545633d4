//! Calls through the gateway. See `migration/` for the columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "calls")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) sequence: i64,
    pub(crate) at: i64,
    pub(crate) account_id: Uuid,
    pub(crate) agent_id: Option<Uuid>,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) instance_id: Uuid,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) trace_id: Option<String>,
    pub(crate) duration_us: i64,
    pub(crate) request_bytes: i64,
    pub(crate) response_bytes: i64,
    pub(crate) outcome: String,
    pub(crate) error_code: Option<i32>,
    pub(crate) arguments: Option<String>,
    pub(crate) result: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
