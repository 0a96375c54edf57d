//! Which process has reserved a message or a wake-up, so that others take it over when that process has died.

use sea_orm_migration::prelude::{ColumnDef, DeriveIden, Table};
use sea_orm_migration::sea_orm::{self, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

#[derive(Debug)]
pub(crate) struct Holder;

impl MigrationName for Holder {
    fn name(&self) -> &str {
        "m0007_holder"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Holder {
    #[expect(elided_lifetimes_in_paths, reason = "async_trait wants it as the trait has it")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // No index: what a process held is looked for once, after its death.
        let holder = || ColumnDef::new(Column::Holder).uuid().null().take();
        manager.alter_table(Table::alter().table(Outbox::Table).add_column(holder()).take()).await?;
        manager.alter_table(Table::alter().table(Timer::Table).add_column(holder()).take()).await
    }
}

#[derive(DeriveIden)]
enum Outbox {
    Table,
}

#[derive(DeriveIden)]
enum Timer {
    Table,
}

#[derive(DeriveIden)]
enum Column {
    Holder,
}
