//! Logins at servers that run elsewhere (AGT-7).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect;

pub(crate) struct UpstreamLogins;

impl MigrationName for UpstreamLogins {
    fn name(&self) -> &'static str {
        "m0012_upstream_logins"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for UpstreamLogins {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = dialect::schema_sql(
            connection.get_database_backend(),
            include_str!("m0012_upstream_logins.sql"),
        );
        connection.execute_unprepared(&sql).await?;
        Ok(())
    }
}
