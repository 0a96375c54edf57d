//! What the whole language of definitions needs: their files, and when their schedules last ran.

use sea_orm_migration::prelude::{ColumnDef, DeriveIden, Index, IndexOrder, Table};
use sea_orm_migration::schema::{big_integer, text};
use sea_orm_migration::sea_orm::{self, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

#[derive(Debug)]
pub(crate) struct Language;

impl MigrationName for Language {
    fn name(&self) -> &str {
        "m0002_language"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Language {
    #[expect(elided_lifetimes_in_paths, reason = "async_trait wants it as the trait has it")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // With a default, because the last release goes on registering definitions without it.
        let files = ColumnDef::new(Definition::Files).text().not_null().default("{}").take();
        manager.alter_table(Table::alter().table(Definition::Table).add_column(files).take()).await?;
        let schedule = Table::create()
            .table(Schedule::Table)
            .col(text(Schedule::Definition))
            .col(text(Schedule::Cron))
            .col(big_integer(Schedule::RanAt))
            .primary_key(Index::create().col(Schedule::Definition).col(Schedule::Cron))
            .take();
        manager.create_table(schedule).await?;
        let by_saga = Index::create()
            .name("dead_letter_by_saga")
            .table(DeadLetter::Table)
            .col((DeadLetter::Saga, IndexOrder::Asc))
            .col((DeadLetter::Id, IndexOrder::Asc))
            .take();
        manager.create_index(by_saga).await
    }
}

#[derive(DeriveIden)]
enum Definition {
    Table,
    Files,
}

#[derive(DeriveIden)]
enum Schedule {
    Table,
    Definition,
    Cron,
    RanAt,
}

#[derive(DeriveIden)]
enum DeadLetter {
    Table,
    Id,
    Saga,
}
