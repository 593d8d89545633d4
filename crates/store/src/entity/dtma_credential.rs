//! What a machine's DTMA proves itself with. See `migration/` for the columns.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "dtma_credentials")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) environment_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) enrolment_hash: String,
    pub(crate) enrolment_expires_at: i64,
    pub(crate) redeemed_at: Option<i64>,
    pub(crate) public_key: Option<Vec<u8>>,
    pub(crate) next_public_key: Option<Vec<u8>>,
    pub(crate) previous_public_key: Option<Vec<u8>>,
    pub(crate) certificate_serial: Option<String>,
    pub(crate) next_certificate_serial: Option<String>,
    pub(crate) bearer_hash: Option<String>,
    pub(crate) next_bearer_hash: Option<String>,
    pub(crate) previous_bearer_hash: Option<String>,
    pub(crate) control_bearer: Option<Vec<u8>>,
    pub(crate) join_counter: i64,
    pub(crate) locked_at: Option<i64>,
    pub(crate) lock_reason: Option<String>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) bootstrap_failure: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
