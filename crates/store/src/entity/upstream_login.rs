//! Logins at servers that run elsewhere. See `migration/` for the columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "upstream_logins")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) instance_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) sealed_id: Uuid,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) given_id: Option<Uuid>,
    pub(crate) given: Option<Vec<u8>>,
    pub(crate) issuer: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) wanted_scope: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) renew_at: Option<i64>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) logged_in_at: Option<i64>,
    pub(crate) lease_owner: Option<Uuid>,
    pub(crate) lease_until: Option<i64>,
    pub(crate) updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
