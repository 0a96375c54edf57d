//! What operators ask for: lists by every condition, pauses, the audit's details, and changes since a time.
//!
//! What the last release does not know of has a default, because it goes on writing beside this one. Three indexes give way
//! to better ones, so that a saga costs no more to write than before: the last release's lists only become slower.

use sea_orm_migration::prelude::{ColumnDef, DeriveIden, Iden, Index, Table, TableCreateStatement};
use sea_orm_migration::schema::{big_integer, text, text_null, uuid};
use sea_orm_migration::sea_orm::{self, ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

#[derive(Debug)]
pub(crate) struct Operations;

impl MigrationName for Operations {
    fn name(&self) -> &str {
        "m0003_operations"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Operations {
    #[expect(elided_lifetimes_in_paths, reason = "async_trait wants it as the trait has it")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let paused = ColumnDef::new(Saga::Paused).boolean().not_null().default(false).take();
        let active = ColumnDef::new(Definition::Active).boolean().not_null().default(true).take();
        add_column(manager, Saga::Table, paused).await?;
        add_column(manager, Definition::Table, active).await?;
        for column in [Audit::Definition, Audit::Before, Audit::After] {
            add_column(manager, Audit::Table, text_null(column)).await?;
        }
        manager.create_table(incident()).await?;
        manager.create_table(attribute()).await?;
        let database = manager.get_connection();
        for statement in INDEXES {
            database.execute_unprepared(statement).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            database.execute_unprepared(POSTGRES_JOURNAL).await?;
        }
        Ok(())
    }
}

/// Text, because sea-query writes no conditions of an index. Each has a list's equalities first and then its order, so that a page
/// is read in order from where it begins, and nothing is sorted:
///
/// - All sagas are read as a merge of `saga_by_status`, a definition's as one of `saga_by_definition`, which is
///   why the plain order by start need not be kept.
/// - `saga_by_definition` is also what counts, and what finished sagas are found by.
/// - Rare things have partial indexes, which cost nothing where they are not true.
const INDEXES: [&str; 16] = [
    "CREATE INDEX saga_by_definition ON saga (definition, version, status, started_at, id)",
    "DROP INDEX saga_by_key",
    "CREATE INDEX saga_by_key ON saga (key, started_at, id) WHERE key IS NOT NULL",
    "CREATE INDEX saga_by_pause ON saga (started_at, id) WHERE paused",
    "DROP INDEX saga_by_start",
    "CREATE INDEX incident_by_code ON incident (code, started_at, saga)",
    "CREATE INDEX attribute_by_value ON attribute (name, value, started_at, saga)",
    "DROP INDEX dead_letter_by_saga",
    "CREATE INDEX dead_letter_by_saga ON dead_letter (saga, at, id)",
    "CREATE INDEX dead_letter_by_queue ON dead_letter (queue, at, id)",
    "CREATE INDEX dead_letter_by_code ON dead_letter (code, at, id)",
    "CREATE INDEX dead_letter_unresolved ON dead_letter (at, id) WHERE resolved_at IS NULL",
    "DROP INDEX audit_by_saga",
    "CREATE INDEX audit_by_saga ON audit (saga, at, id)",
    "CREATE INDEX audit_by_actor ON audit (actor, at, id)",
    "CREATE INDEX audit_by_action ON audit (action, at, id)",
];

/// The journal is appended to in about the order of its times, so that the least and the greatest time of each few
/// pages say enough. It is a thousandth of a real index, and nearly free to write. SQLite has the order of its rows instead.
const POSTGRES_JOURNAL: &str =
    "CREATE INDEX journal_by_time ON journal USING brin (at) WITH (pages_per_range = 16, autosummarize = on)";

async fn add_column(manager: &SchemaManager<'_>, table: impl Iden, column: ColumnDef) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(table).add_column(column).take()).await
}

/// The codes of the open incidents of each saga, with its start, which is what lists are in the order of.
fn incident() -> TableCreateStatement {
    Table::create()
        .table(Incident::Table)
        .col(uuid(Incident::Saga))
        .col(text(Incident::Code))
        .col(big_integer(Incident::StartedAt))
        .primary_key(Index::create().col(Incident::Saga).col(Incident::Code))
        .take()
}

/// The attributes of each saga, with its start.
fn attribute() -> TableCreateStatement {
    Table::create()
        .table(Attribute::Table)
        .col(uuid(Attribute::Saga))
        .col(text(Attribute::Name))
        .col(text(Attribute::Value))
        .col(big_integer(Attribute::StartedAt))
        .primary_key(Index::create().col(Attribute::Saga).col(Attribute::Name))
        .take()
}

#[derive(DeriveIden)]
enum Saga {
    Table,
    Paused,
}

#[derive(DeriveIden)]
enum Definition {
    Table,
    Active,
}

#[derive(DeriveIden, Clone, Copy)]
enum Audit {
    Table,
    Definition,
    Before,
    After,
}

#[derive(DeriveIden)]
enum Incident {
    Table,
    Saga,
    Code,
    StartedAt,
}

#[derive(DeriveIden)]
enum Attribute {
    Table,
    Saga,
    Name,
    Value,
    StartedAt,
}
