//! Where the tools of an instance may go to (DTMA-4).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

pub(crate) struct Egress;

impl MigrationName for Egress {
    fn name(&self) -> &'static str {
        "m0015_egress"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Egress {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = include_str!("m0015_egress.sql");
        manager.get_connection().execute_unprepared(sql).await?;
        Ok(())
    }
}
