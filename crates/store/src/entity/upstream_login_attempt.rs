//! Logins at servers that run elsewhere that were begun. See `migration/` for the columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "upstream_login_attempts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) instance_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) state_hash: String,
    pub(crate) browser_hash: Option<String>,
    pub(crate) sealed_id: Uuid,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
