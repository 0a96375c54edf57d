//! The names of the tables and columns of the first schema.

use sea_orm_migration::prelude::DeriveIden;
use sea_orm_migration::sea_orm;

#[derive(DeriveIden)]
pub(super) enum Definition {
    Table,
    Name,
    Version,
    Digest,
    Source,
    Files,
    Active,
    RegisteredAt,
}

#[derive(DeriveIden)]
pub(super) enum Schedule {
    Table,
    Definition,
    Cron,
    RanAt,
}

#[derive(DeriveIden)]
pub(super) enum Saga {
    Table,
    Id,
    Definition,
    Version,
    Key,
    Status,
    Paused,
    StartedAt,
    ChangedAt,
    Due,
    Holder,
}

#[derive(DeriveIden)]
pub(super) enum Journal {
    Table,
    StartedAt,
    Saga,
    Seq,
    At,
    Entry,
}

#[derive(DeriveIden)]
pub(super) enum Incident {
    Table,
    Saga,
    Code,
    StartedAt,
}

#[derive(DeriveIden)]
pub(super) enum Attribute {
    Table,
    Saga,
    Name,
    Value,
    StartedAt,
}

#[derive(DeriveIden)]
pub(super) enum Outbox {
    Table,
    Id,
    ReservedUntil,
    Holder,
    Messages,
}

#[derive(DeriveIden)]
pub(super) enum BufferedEvent {
    Table,
    Id,
    Saga,
    Identity,
    At,
    ExpiresAt,
    Queue,
    Matched,
    Event,
}

#[derive(DeriveIden)]
pub(super) enum DeadLetter {
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

#[derive(DeriveIden)]
pub(super) enum Audit {
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
    Definition,
    Before,
    After,
}

#[derive(DeriveIden)]
pub(super) enum TokenKey {
    Table,
    Number,
    Secret,
    CreatedAt,
    SignsFrom,
}

#[derive(DeriveIden)]
pub(super) enum Process {
    Table,
    Id,
    SeenAt,
    EndedAt,
}

#[derive(DeriveIden)]
pub(super) enum Identity {
    Table,
    Number,
    Id,
}
