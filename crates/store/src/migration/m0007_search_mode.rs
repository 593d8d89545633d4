//! How an agent sees its tools (AGT-11).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

pub(crate) struct SearchMode;

impl MigrationName for SearchMode {
    fn name(&self) -> &'static str {
        "m0007_search_mode"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for SearchMode {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = include_str!("m0007_search_mode.sql");
        manager.get_connection().execute_unprepared(sql).await?;
        Ok(())
    }
}
