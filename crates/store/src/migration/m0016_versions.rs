//! Which version an instance runs, ran and is about to run (TOOL-4).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

pub(crate) struct Versions;

impl MigrationName for Versions {
    fn name(&self) -> &'static str {
        "m0016_versions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Versions {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = include_str!("m0016_versions.sql");
        manager.get_connection().execute_unprepared(sql).await?;
        Ok(())
    }
}
