//! What the tools of instances say of themselves (TOOL-10).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect;

pub(crate) struct ToolDefinitions;

impl MigrationName for ToolDefinitions {
    fn name(&self) -> &'static str {
        "m0017_tool_definitions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for ToolDefinitions {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = dialect::schema_sql(
            connection.get_database_backend(),
            include_str!("m0017_tool_definitions.sql"),
        );
        connection.execute_unprepared(&sql).await?;
        Ok(())
    }
}
