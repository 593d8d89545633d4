//! Work of the installation as a whole. See `migration/` for the columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "installation_jobs")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) name: String,
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
