//! Browser logins of MCP clients (AGT-7).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect;

pub(crate) struct Oauth;

impl MigrationName for Oauth {
    fn name(&self) -> &'static str {
        "m0011_oauth"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Oauth {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = dialect::schema_sql(
            connection.get_database_backend(),
            include_str!("m0011_oauth.sql"),
        );
        connection.execute_unprepared(&sql).await?;
        Ok(())
    }
}
