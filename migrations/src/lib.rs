//! Snorri's database schema: one for PostgreSQL and SQLite, as append-only migrations.
//!
//! - `definition`: the registered definitions, immutable except whether they are active for new sagas.
//! - `journal`: the only source of truth about a saga. Its key (started_at, saga, seq) is
//!   the only lock on a saga that runs, and the key of `saga` on one that starts.
//! - `saga`: the columns of lists and searches and the timer, derived from the journal.
//! - `incident`: the codes of sagas' open incidents, by which they are found.
//! - `attribute`: the attributes by which sagas are found.
//! - `outbox`: which messages are committed and not yet confirmed by the broker, as places in the journal.
//! - `schedule`: when each schedule of a definition last ran.
//! - `dead_letter`: messages that could not be handled, for operators.
//! - `buffered_event`: events and signals for sagas that have not started, for a bounded time.
//! - `audit`: the actions of operators.
//! - `token_key`: the keys of correlation tokens.
//! - `process`: the processes that work on this database, and when each was last alive. Rows of `outbox` and timers of `saga`
//!   that a process has reserved (their `holder`) are taken over when it has ended, and so is its reply queue.
//! - `identity`: one row, which distinguishes this database from others on the same broker.
//!
//! A time is a bigint: milliseconds since the Unix epoch, UTC. JSON is stored as text, which is the cheapest to write; cast it
//! with `entry::json` to query it. There are no foreign keys: a journal's rows are written with what they refer to, and
//! checking that again would double the cost of each.
//!
//! A process continues to work on a schema newer than its own, so that many can be replaced one after the other. So a migration
//! never removes or redefines what the last release uses. An index may be replaced by another, which at most makes the last
//! release slower.

use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait};

mod m0001_first;

/// All migrations, the oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_first::First)]
    }
}

pub use sea_orm_migration;
