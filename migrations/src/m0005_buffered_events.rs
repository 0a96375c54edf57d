//! The table of events and signals that came before their saga started.

use sea_orm_migration::prelude::{DeriveIden, Index, IndexOrder, Table, TableCreateStatement};
use sea_orm_migration::schema::{big_integer, boolean, text, uuid};
use sea_orm_migration::sea_orm::{self, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

#[derive(Debug)]
pub(crate) struct BufferedEvents;

impl MigrationName for BufferedEvents {
    fn name(&self) -> &str {
        "m0005_buffered_events"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for BufferedEvents {
    #[expect(elided_lifetimes_in_paths, reason = "async_trait wants it as the trait has it")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(buffered_event()).await?;
        // Each event once for its saga; also what the events of a saga are found by.
        let by_identity = Index::create()
            .unique()
            .name("buffered_event_by_identity")
            .table(BufferedEvent::Table)
            .col((BufferedEvent::Saga, IndexOrder::Asc))
            .col((BufferedEvent::Identity, IndexOrder::Asc))
            .take();
        manager.create_index(by_identity).await?;
        let by_expiry = Index::create()
            .name("buffered_event_by_expiry")
            .table(BufferedEvent::Table)
            .col((BufferedEvent::ExpiresAt, IndexOrder::Asc))
            .col((BufferedEvent::Id, IndexOrder::Asc))
            .take();
        manager.create_index(by_expiry).await
    }
}

fn buffered_event() -> TableCreateStatement {
    Table::create()
        .table(BufferedEvent::Table)
        // A UUIDv7, so that the events of a saga are in order.
        .col(uuid(BufferedEvent::Id).primary_key())
        .col(uuid(BufferedEvent::Saga))
        .col(uuid(BufferedEvent::Identity))
        .col(big_integer(BufferedEvent::At))
        .col(big_integer(BufferedEvent::ExpiresAt))
        // The queue it was taken from.
        .col(text(BufferedEvent::Queue))
        // Whether another saga accepted the same event.
        .col(boolean(BufferedEvent::Matched))
        // The event or signal, as JSON.
        .col(text(BufferedEvent::Arrival))
        .take()
}

#[derive(DeriveIden)]
enum BufferedEvent {
    Table,
    Id,
    Saga,
    Identity,
    At,
    ExpiresAt,
    Queue,
    Matched,
    Arrival,
}
