//! The table of processes, each of which writes that it is alive.

use sea_orm_migration::prelude::{DeriveIden, Table};
use sea_orm_migration::schema::{big_integer, uuid};
use sea_orm_migration::sea_orm::{self, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

#[derive(Debug)]
pub(crate) struct Processes;

impl MigrationName for Processes {
    fn name(&self) -> &str {
        "m0006_process"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Processes {
    #[expect(elided_lifetimes_in_paths, reason = "async_trait wants it as the trait has it")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Process::Table)
            // Made anew at each start of a process.
            .col(uuid(Process::Id).primary_key())
            .col(big_integer(Process::SeenAt))
            .take();
        manager.create_table(table).await
    }
}

#[derive(DeriveIden)]
enum Process {
    Table,
    Id,
    SeenAt,
}
