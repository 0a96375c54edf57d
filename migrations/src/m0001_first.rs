//! The first schema: the tables of sagas, of messages, and of operators.

mod columns;

use sea_orm_migration::prelude::{ColumnDef, Iden, Index, Table, TableCreateStatement};
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, integer, integer_null, small_integer, text, text_null, uuid,
    uuid_null,
};
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use columns::{
    Attribute, Audit, BufferedEvent, DeadLetter, Definition, Identity, Incident, Journal, Outbox, Process,
    Saga, Schedule, TokenKey,
};

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
        for table in tables() {
            manager.create_table(table).await?;
        }
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        let of_postgres = POSTGRES.iter().filter(|_| is_postgres);
        for statement in INDEXES.iter().chain(of_postgres) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

fn tables() -> [TableCreateStatement; 13] {
    [
        definition(),
        schedule(),
        saga(),
        journal(),
        incident(),
        attribute(),
        outbox(),
        buffered_event(),
        dead_letter(),
        audit(),
        token_key(),
        process(),
        identity(),
    ]
}

/// Text, because sea-query writes no conditions of an index. Each has a list's equalities first and then its order, so that a
/// page is read in order from its beginning, and nothing is sorted:
///
/// - All sagas are read as a merge of `saga_by_status`, newest first, a definition's as one of `saga_by_definition`, so the plain
///   order by start has no index.
/// - `saga_by_definition` is also used for counting, and for finding finished sagas.
/// - Rare conditions have partial indexes, which cost nothing for rows that do not meet them.
/// - `buffered_event_by_identity` admits each event once for its saga, and finds the events of a saga.
/// - The rows that a process has reserved have no index: they are searched once, after its death.
const INDEXES: [&str; 17] = [
    "CREATE INDEX saga_by_status ON saga (status, started_at, id)",
    "CREATE INDEX saga_by_definition ON saga (definition, version, status, started_at, id)",
    "CREATE INDEX saga_by_pause ON saga (started_at, id) WHERE paused",
    "CREATE INDEX incident_by_code ON incident (code, started_at, saga)",
    "CREATE INDEX attribute_by_value ON attribute (name, value, started_at, saga)",
    "CREATE INDEX saga_by_due ON saga (due) WHERE due IS NOT NULL",
    "CREATE UNIQUE INDEX buffered_event_by_identity ON buffered_event (saga, identity)",
    "CREATE INDEX buffered_event_by_expiry ON buffered_event (expires_at, id)",
    "CREATE INDEX dead_letter_by_time ON dead_letter (at, id)",
    "CREATE INDEX dead_letter_by_saga ON dead_letter (saga, at, id)",
    "CREATE INDEX dead_letter_by_queue ON dead_letter (queue, at, id)",
    "CREATE INDEX dead_letter_by_code ON dead_letter (code, at, id)",
    "CREATE INDEX dead_letter_unresolved ON dead_letter (at, id) WHERE resolved_at IS NULL",
    "CREATE INDEX audit_by_time ON audit (at, id)",
    "CREATE INDEX audit_by_saga ON audit (saga, at, id)",
    "CREATE INDEX audit_by_actor ON audit (actor, at, id)",
    "CREATE INDEX audit_by_action ON audit (action, at, id)",
];

/// How PostgreSQL keeps some tables.
///
/// - Nothing shortens a table after many deletions: for that, PostgreSQL would keep all writers out for a moment, each time.
/// - Every row of `outbox` is soon deleted. The dead rows are cheap to remove early and make claims slow when they are many, so
///   autovacuum neither waits for their share of the table nor rests between pages.
/// - The journal is appended to in about the order of its times, so the least and the greatest time of each few pages suffice. It
///   is a thousandth of a real index, and nearly free to write. SQLite has the order of its rows instead.
const POSTGRES: [&str; 4] = [
    "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, \
     autovacuum_vacuum_cost_delay = 0, vacuum_truncate = false)",
    "ALTER TABLE journal SET (vacuum_truncate = false)",
    "ALTER TABLE saga SET (vacuum_truncate = false)",
    "CREATE INDEX journal_by_time ON journal USING brin (at) WITH (pages_per_range = 16, autosummarize = on)",
];

fn definition() -> TableCreateStatement {
    table(
        Definition::Table,
        [
            text(Definition::Name),
            big_integer(Definition::Version),
            text(Definition::Digest),
            text(Definition::Source),
            // The files that it refers to, by path, as JSON.
            text(Definition::Files),
            // Whether new sagas may be started.
            ColumnDef::new(Definition::Active).boolean().not_null().default(true).take(),
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
            ColumnDef::new(Saga::Paused).boolean().not_null().default(false).take(),
            big_integer(Saga::StartedAt),
            big_integer(Saga::ChangedAt),
            // When to wake it, if it waits for a time.
            big_integer_null(Saga::Due),
            // The process that has claimed the timer.
            uuid_null(Saga::Holder),
        ],
    )
}

/// Its key begins with the start of the saga, because ids come in any order: each saga would touch a page of its own, of which
/// PostgreSQL writes a copy to its WAL after each checkpoint.
fn journal() -> TableCreateStatement {
    table(
        Journal::Table,
        [
            // When the saga started.
            big_integer(Journal::StartedAt),
            uuid(Journal::Saga),
            integer(Journal::Seq),
            big_integer(Journal::At),
            text(Journal::Entry),
        ],
    )
    .primary_key(Index::create().col(Journal::StartedAt).col(Journal::Saga).col(Journal::Seq))
    .take()
}

/// A row has the places of its messages in the journal, from which they are made again if need be.
///
/// No index on `reserved_until`: ids are in order of time, so a claim scans the key from the oldest row on and soon finds its
/// rows, and each row saves a second index entry.
fn outbox() -> TableCreateStatement {
    table(
        Outbox::Table,
        [
            uuid(Outbox::Id).primary_key().take(),
            big_integer(Outbox::ReservedUntil),
            // The process that has reserved it.
            uuid_null(Outbox::Holder),
            ColumnDef::new(Outbox::Messages).blob().not_null().take(),
        ],
    )
}

/// When each schedule of a definition last ran.
fn schedule() -> TableCreateStatement {
    table(Schedule::Table, [text(Schedule::Definition), text(Schedule::Cron), big_integer(Schedule::RanAt)])
        .primary_key(Index::create().col(Schedule::Definition).col(Schedule::Cron))
        .take()
}

/// The codes of the open incidents of each saga, with its start, by which lists are ordered.
fn incident() -> TableCreateStatement {
    table(Incident::Table, [uuid(Incident::Saga), text(Incident::Code), big_integer(Incident::StartedAt)])
        .primary_key(Index::create().col(Incident::Saga).col(Incident::Code))
        .take()
}

/// The attributes of each saga, with its start.
fn attribute() -> TableCreateStatement {
    table(
        Attribute::Table,
        [
            uuid(Attribute::Saga),
            text(Attribute::Name),
            text(Attribute::Value),
            big_integer(Attribute::StartedAt),
        ],
    )
    .primary_key(Index::create().col(Attribute::Saga).col(Attribute::Name))
    .take()
}

/// Events and signals that arrived before their saga started.
fn buffered_event() -> TableCreateStatement {
    table(
        BufferedEvent::Table,
        [
            // A UUIDv7, so that the events of a saga are in order.
            uuid(BufferedEvent::Id).primary_key().take(),
            uuid(BufferedEvent::Saga),
            uuid(BufferedEvent::Identity),
            big_integer(BufferedEvent::At),
            big_integer(BufferedEvent::ExpiresAt),
            // The queue that it came from.
            text(BufferedEvent::Queue),
            // Whether another saga accepted the same event.
            boolean(BufferedEvent::Matched),
            // The event or signal, as JSON.
            text(BufferedEvent::Event),
        ],
    )
}

fn dead_letter() -> TableCreateStatement {
    table(
        DeadLetter::Table,
        [
            uuid(DeadLetter::Id).primary_key().take(),
            big_integer(DeadLetter::At),
            // The queue that it came from.
            text(DeadLetter::Queue),
            // Why it could not be handled: a stable code, and a sentence.
            text(DeadLetter::Code),
            text(DeadLetter::Reason),
            // The saga and step it seems to be for.
            uuid_null(DeadLetter::Saga),
            text_null(DeadLetter::Step),
            // AMQP properties and headers, as JSON.
            text(DeadLetter::Properties),
            ColumnDef::new(DeadLetter::Body).blob().not_null().take(),
            // When an operator resolved it.
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
            // Further parameters of the request, as JSON.
            text_null(Audit::Details),
            text_null(Audit::Definition),
            // The status of the saga before and after.
            text_null(Audit::Before),
            text_null(Audit::After),
        ],
    )
}

/// The keys that authenticate correlation tokens. Only the newest few are kept.
fn token_key() -> TableCreateStatement {
    table(
        TokenKey::Table,
        [
            big_integer(TokenKey::Number).primary_key().take(),
            ColumnDef::new(TokenKey::Secret).blob().not_null().take(),
            big_integer(TokenKey::CreatedAt),
            big_integer(TokenKey::SignsFrom),
        ],
    )
}

/// The processes, with a new id at each start, and when each was last alive. One that has ended stays as long as its reply queue.
fn process() -> TableCreateStatement {
    let id = uuid(Process::Id).primary_key().take();
    table(Process::Table, [id, big_integer(Process::SeenAt), big_integer_null(Process::EndedAt)])
}

/// The identity of the database, which the queues of its orchestrators carry. There is one row, number 1.
fn identity() -> TableCreateStatement {
    table(Identity::Table, [small_integer(Identity::Number).primary_key().take(), uuid(Identity::Id)])
}

fn table(name: impl Iden, columns: impl IntoIterator<Item = ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name);
    for column in columns {
        table.col(column);
    }
    table
}
