//! What the tools of instances say of themselves. See `migration/` for the columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tool_definitions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) instance_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) hold: bool,
    pub(crate) accepted: String,
    pub(crate) accepted_hashes: String,
    pub(crate) listed: Option<String>,
    pub(crate) listed_hashes: Option<String>,
    pub(crate) updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
