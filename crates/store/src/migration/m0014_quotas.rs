//! Quotas, and what was said in calls (AGT-8).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect;

pub(crate) struct Quotas;

impl MigrationName for Quotas {
    fn name(&self) -> &'static str {
        "m0014_quotas"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Quotas {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = dialect::schema_sql(
            connection.get_database_backend(),
            include_str!("m0014_quotas.sql"),
        );
        connection.execute_unprepared(&sql).await?;
        Ok(())
    }
}
