//! What an environment needs to change its size, and its price (ENV-10, ENV-11).

use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect;

pub(crate) struct ScalingAndPrice;

impl MigrationName for ScalingAndPrice {
    fn name(&self) -> &'static str {
        "m0002_scaling_and_price"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for ScalingAndPrice {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sql = dialect::schema_sql(
            connection.get_database_backend(),
            include_str!("m0002_scaling_and_price.sql"),
        );
        connection.execute_unprepared(&sql).await?;
        Ok(())
    }
}
