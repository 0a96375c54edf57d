//! The tables that sagas need to run, and the two that people need to look after them.

use sea_orm_migration::prelude::{
    ColumnDef, DeriveIden, Iden, Index, IndexCreateStatement, IndexOrder, Table, TableCreateStatement,
};
use sea_orm_migration::schema::{
    big_integer, big_integer_null, integer, integer_null, text, text_null, uuid, uuid_null,
};
use sea_orm_migration::sea_orm::{self, ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

#[derive(Debug)]
pub(crate) struct First;

impl MigrationName for First {
    fn name(&self) -> &str {
        "m0001_first"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for First {
    #[expect(elided_lifetimes_in_paths, reason = "async_trait wants it as the trait has it")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [definition(), saga(), journal(), outbox(), timer(), dead_letter(), audit()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            for statement in POSTGRES_STORAGE {
                manager.get_connection().execute_unprepared(statement).await?;
            }
        }
        Ok(())
    }
}

/// Every row of these two tables is soon deleted or replaced. The dead rows are cheap to remove early and make
/// claims slow when they are many, so that autovacuum neither waits for their share of the table nor rests between pages.
const POSTGRES_STORAGE: [&str; 2] = [
    "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, \
     autovacuum_vacuum_cost_delay = 0)",
    "ALTER TABLE timer SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, \
     autovacuum_vacuum_cost_delay = 0)",
];

fn definition() -> TableCreateStatement {
    table(
        Definition::Table,
        [
            text(Definition::Name),
            big_integer(Definition::Version),
            text(Definition::Digest),
            text(Definition::Source),
            big_integer(Definition::RegisteredAt),
        ],
    )
    .primary_key(Index::create().col(Definition::Name).col(Definition::Version))
    .take()
}

fn saga() -> TableCreateStatement {
    table(
        Saga::Table,
        [
            uuid(Saga::Id).primary_key().take(),
            text(Saga::Definition),
            big_integer(Saga::Version),
            text_null(Saga::Key),
            text(Saga::Status),
            big_integer(Saga::StartedAt),
            big_integer(Saga::ChangedAt),
        ],
    )
}

fn journal() -> TableCreateStatement {
    table(
        Journal::Table,
        [uuid(Journal::Saga), integer(Journal::Seq), big_integer(Journal::At), text(Journal::Entry)],
    )
    .primary_key(Index::create().col(Journal::Saga).col(Journal::Seq))
    .take()
}

/// No index on `reserved_until`: ids are in order of time, so a claim walks the key from the oldest row on and soon
/// finds what it wants, and each message is spared a second index entry.
fn outbox() -> TableCreateStatement {
    table(
        Outbox::Table,
        [
            uuid(Outbox::Id).primary_key().take(),
            uuid(Outbox::Saga),
            big_integer(Outbox::ReservedUntil),
            text(Outbox::Message),
        ],
    )
}

fn timer() -> TableCreateStatement {
    table(Timer::Table, [uuid(Timer::Saga).primary_key().take(), big_integer(Timer::Due)])
}

fn dead_letter() -> TableCreateStatement {
    table(
        DeadLetter::Table,
        [
            uuid(DeadLetter::Id).primary_key().take(),
            big_integer(DeadLetter::At),
            // The queue it was taken from.
            text(DeadLetter::Queue),
            // Why nothing could be made of it: a stable code, and a sentence.
            text(DeadLetter::Code),
            text(DeadLetter::Reason),
            // The saga and step it seems to be for.
            uuid_null(DeadLetter::Saga),
            text_null(DeadLetter::Step),
            // AMQP properties and headers, as JSON.
            text(DeadLetter::Properties),
            ColumnDef::new(DeadLetter::Body).blob().not_null().take(),
            // When someone dealt with it.
            big_integer_null(DeadLetter::ResolvedAt),
        ],
    )
}

fn audit() -> TableCreateStatement {
    table(
        Audit::Table,
        [
            uuid(Audit::Id).primary_key().take(),
            big_integer(Audit::At),
            text(Audit::Actor),
            text(Audit::Action),
            text_null(Audit::Reason),
            uuid_null(Audit::Saga),
            // The journal entry that it led to.
            integer_null(Audit::Seq),
            text_null(Audit::Step),
            // What else was asked for, as JSON.
            text_null(Audit::Details),
        ],
    )
}

fn indexes() -> [IndexCreateStatement; 7] {
    [
        // Lists: newest first, all sagas or those of one status. Read backwards.
        index("saga_by_start", Saga::Table, &[Saga::StartedAt, Saga::Id]),
        index("saga_by_status", Saga::Table, &[Saga::Status, Saga::StartedAt, Saga::Id]),
        index("saga_by_key", Saga::Table, &[Saga::Definition, Saga::Key]),
        index("timer_by_due", Timer::Table, &[Timer::Due]),
        index("dead_letter_by_time", DeadLetter::Table, &[DeadLetter::At, DeadLetter::Id]),
        index("audit_by_time", Audit::Table, &[Audit::At, Audit::Id]),
        index("audit_by_saga", Audit::Table, &[Audit::Saga, Audit::At]),
    ]
}

fn table(name: impl Iden, columns: impl IntoIterator<Item = ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    for column in columns {
        table.col(column);
    }
    table
}

fn index<C: Iden + Copy>(name: &str, table: impl Iden, columns: &[C]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table);
    for column in columns {
        index.col((*column, IndexOrder::Asc));
    }
    index
}

#[derive(DeriveIden)]
enum Definition {
    Table,
    Name,
    Version,
    Digest,
    Source,
    RegisteredAt,
}

#[derive(DeriveIden, Clone, Copy)]
enum Saga {
    Table,
    Id,
    Definition,
    Version,
    Key,
    Status,
    StartedAt,
    ChangedAt,
}

#[derive(DeriveIden)]
enum Journal {
    Table,
    Saga,
    Seq,
    At,
    Entry,
}

#[derive(DeriveIden)]
enum Outbox {
    Table,
    Id,
    Saga,
    ReservedUntil,
    Message,
}

#[derive(DeriveIden, Clone, Copy)]
enum Timer {
    Table,
    Saga,
    Due,
}

#[derive(DeriveIden, Clone, Copy)]
enum DeadLetter {
    Table,
    Id,
    At,
    Queue,
    Code,
    Reason,
    Saga,
    Step,
    Properties,
    Body,
    ResolvedAt,
}

#[derive(DeriveIden, Clone, Copy)]
enum Audit {
    Table,
    Id,
    At,
    Actor,
    Action,
    Reason,
    Saga,
    Seq,
    Step,
    Details,
}
