//! Tools that are stopped while nobody uses them (TOOL-9).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

pub(crate) struct Sleep;

impl MigrationName for Sleep {
    fn name(&self) -> &'static str {
        "m0010_sleep"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Sleep {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = include_str!("m0010_sleep.sql");
        manager.get_connection().execute_unprepared(sql).await?;
        Ok(())
    }
}
