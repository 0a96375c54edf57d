//! The identity of the database, which the queues of its orchestrators carry.

use sea_orm_migration::prelude::{DeriveIden, Table};
use sea_orm_migration::schema::{small_integer, uuid};
use sea_orm_migration::sea_orm::{self, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

#[derive(Debug)]
pub(crate) struct DatabaseIdentity;

impl MigrationName for DatabaseIdentity {
    fn name(&self) -> &str {
        "m0010_identity"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for DatabaseIdentity {
    #[expect(elided_lifetimes_in_paths, reason = "async_trait wants it as the trait has it")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Identity::Table)
            // 1: there is one row.
            .col(small_integer(Identity::Number).primary_key())
            .col(uuid(Identity::Id))
            .take();
        manager.create_table(table).await
    }
}

#[derive(DeriveIden)]
enum Identity {
    Table,
    Number,
    Id,
}
