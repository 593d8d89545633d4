//! Who may reach tools directly, and what was written to firewalls for it (TOOL-11).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect;

pub(crate) struct DirectAccess;

impl MigrationName for DirectAccess {
    fn name(&self) -> &'static str {
        "m0004_direct_access"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for DirectAccess {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = dialect::schema_sql(
            connection.get_database_backend(),
            include_str!("m0004_direct_access.sql"),
        );
        connection.execute_unprepared(&sql).await?;
        Ok(())
    }
}
