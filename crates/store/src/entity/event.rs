//! The append-only stream of what happened. See `migration/` for the columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) sequence: i64,
    pub(crate) id: Uuid,
    pub(crate) at: i64,
    pub(crate) account_id: Option<Uuid>,
    pub(crate) actor_kind: String,
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) kind: String,
    pub(crate) object_kind: String,
    pub(crate) object_id: Uuid,
    pub(crate) outcome: String,
    pub(crate) message: String,
    pub(crate) data: String,
    pub(crate) source_ip: Option<String>,
    pub(crate) request_id: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
