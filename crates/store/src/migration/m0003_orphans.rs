//! What the search for orphans keeps, and jobs of the installation (ENV-8).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect;

pub(crate) struct Orphans;

impl MigrationName for Orphans {
    fn name(&self) -> &'static str {
        "m0003_orphans"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Orphans {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = dialect::schema_sql(
            connection.get_database_backend(),
            include_str!("m0003_orphans.sql"),
        );
        connection.execute_unprepared(&sql).await?;
        Ok(())
    }
}
