//! The operator's word that an orphan is to go (ENV-8).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

pub(crate) struct OrphanRemoval;

impl MigrationName for OrphanRemoval {
    fn name(&self) -> &'static str {
        "m0005_orphan_removal"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for OrphanRemoval {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = include_str!("m0005_orphan_removal.sql");
        manager.get_connection().execute_unprepared(sql).await?;
        Ok(())
    }
}
