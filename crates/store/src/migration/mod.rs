//! The tables' history: forward only, one file a step, never changed once released.
//!
//! A step must leave the version before it working (OPS-3): add columns with defaults, fill, and
//! only a release later take the old ones away. Steps are SQL, because that is what an operator
//! sees; the few type names in which the engines differ are filled in by `dialect.rs`.

mod m0001_initial;
mod m0002_scaling_and_price;
mod m0003_orphans;
mod m0004_direct_access;
mod m0005_orphan_removal;
mod m0006_told;
mod m0007_search_mode;
mod m0008_calls;
mod m0009_remote_instances;
mod m0010_sleep;
mod m0011_oauth;
mod m0012_upstream_logins;
mod m0013_link_secrets;
mod m0014_quotas;
mod m0015_egress;
mod m0016_versions;
mod m0017_tool_definitions;

use sea_orm::{DatabaseTransaction, DbErr};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_initial::Initial),
            Box::new(m0002_scaling_and_price::ScalingAndPrice),
            Box::new(m0003_orphans::Orphans),
            Box::new(m0004_direct_access::DirectAccess),
            Box::new(m0005_orphan_removal::OrphanRemoval),
            Box::new(m0006_told::Told),
            Box::new(m0007_search_mode::SearchMode),
            Box::new(m0008_calls::Calls),
            Box::new(m0009_remote_instances::RemoteInstances),
            Box::new(m0010_sleep::Sleep),
            Box::new(m0011_oauth::Oauth),
            Box::new(m0012_upstream_logins::UpstreamLogins),
            Box::new(m0013_link_secrets::LinkSecrets),
            Box::new(m0014_quotas::Quotas),
            Box::new(m0015_egress::Egress),
            Box::new(m0016_versions::Versions),
            Box::new(m0017_tool_definitions::ToolDefinitions),
        ]
    }
}

/// Applies every step that is missing, inside `transaction`.
pub(crate) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    Migrator::up(transaction, None).await
}

/// The names of all steps that this version knows, in their order.
pub(crate) fn known() -> Vec<String> {
    let steps = Migrator::migrations();
    steps.iter().map(|step| step.name().to_owned()).collect()
}
