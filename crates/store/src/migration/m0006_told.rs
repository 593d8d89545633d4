//! What people are told of a machine's first start, and of what is not as they wanted it (ENV-6, ENV-4).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

pub(crate) struct Told;

impl MigrationName for Told {
    fn name(&self) -> &'static str {
        "m0006_told"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Told {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = include_str!("m0006_told.sql");
        manager.get_connection().execute_unprepared(sql).await?;
        Ok(())
    }
}
