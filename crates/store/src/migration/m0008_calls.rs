//! What agents called (AGT-8).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect;

pub(crate) struct Calls;

impl MigrationName for Calls {
    fn name(&self) -> &'static str {
        "m0008_calls"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Calls {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = dialect::schema_sql(
            connection.get_database_backend(),
            include_str!("m0008_calls.sql"),
        );
        connection.execute_unprepared(&sql).await?;
        Ok(())
    }
}
