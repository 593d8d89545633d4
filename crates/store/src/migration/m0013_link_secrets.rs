//! Secrets that links carry in place of their instances' own (AGT-6).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect;

pub(crate) struct LinkSecrets;

impl MigrationName for LinkSecrets {
    fn name(&self) -> &'static str {
        "m0013_link_secrets"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for LinkSecrets {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = dialect::schema_sql(
            connection.get_database_backend(),
            include_str!("m0013_link_secrets.sql"),
        );
        connection.execute_unprepared(&sql).await?;
        Ok(())
    }
}
