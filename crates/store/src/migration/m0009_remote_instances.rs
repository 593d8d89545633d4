//! Instances whose servers run elsewhere.

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

pub(crate) struct RemoteInstances;

impl MigrationName for RemoteInstances {
    fn name(&self) -> &'static str {
        "m0009_remote_instances"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for RemoteInstances {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = include_str!("m0009_remote_instances.sql");
        manager.get_connection().execute_unprepared(sql).await?;
        Ok(())
    }
}
