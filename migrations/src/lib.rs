//! Snorri's database schema: one for PostgreSQL and SQLite, as migrations that are only ever appended to.
//!
//! - `definition`: the registered sources of sagas, immutable but for whether new sagas of them may start.
//! - `journal`: the only truth about a saga. Its key (saga, seq) is the only lock.
//! - `saga`: what lists and searches need, derived from the journal.
//! - `incident`: the codes of sagas' open incidents, to find them by.
//! - `attribute`: what else sagas are to be found by.
//! - `outbox`: messages that are committed and not yet confirmed by the broker.
//! - `timer`: when to wake a saga, at most one row each.
//! - `schedule`: when each schedule of a definition last ran.
//! - `dead_letter`: deliveries that nothing could be made of, for people.
//! - `buffered_event`: events and signals for sagas that have not started, for a bounded time.
//! - `audit`: what operators did, for people.
//! - `token_key`: the keys of correlation tokens.
//! - `process`: the processes that work on this database, and when each was last alive. What a process has reserved of the
//!   `outbox` and of the timers (their `holder`) is taken over when it has died.
//! - `identity`: one row, which tells this database from others on the same broker.
//!
//! A time is a bigint: milliseconds since the Unix epoch, UTC. JSON is stored as text, which is the cheapest to write;
//! `entry::json` turns it into something to ask for people who look. There are no foreign keys: a journal's rows are
//! written with what they refer to, and checking that again would double the cost of each.
//!
//! A process goes on working on a schema newer than its own, so that many can be replaced one after the other. So a
//! migration never takes away or redefines what the last release uses. An index may
//! give way to another, which then makes the last release slower at most.

use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait};

mod m0001_first;
mod m0002_language;
mod m0003_operations;
mod m0004_token_keys;
mod m0005_buffered_events;
mod m0006_process;
mod m0007_holder;
mod m0010_identity;

/// All migrations, the oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first::First),
            Box::new(m0002_language::Language),
            Box::new(m0003_operations::Operations),
            Box::new(m0004_token_keys::TokenKeys),
            Box::new(m0005_buffered_events::BufferedEvents),
            Box::new(m0006_process::Processes),
            Box::new(m0007_holder::Holder),
            Box::new(m0010_identity::DatabaseIdentity),
        ]
    }
}

pub use sea_orm_migration;
