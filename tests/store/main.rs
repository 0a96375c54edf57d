//! The conformance suite of stores, on memory, SQLite and PostgreSQL.
//!
//! - [`commits`]: a commit is complete, and happens once
//! - [`claims`]: timers and messages are claimed by one process at a time
//! - [`reads`]: journals, lists and definitions
//! - [`filters`]: lists by every combination of conditions
//! - [`aside`]: dead letters, the audit, and the runs of schedules
//! - [`retention`]: deletion of ended sagas
//! - [`buffered`]: events that arrived before their saga, and the age and number of dead letters
//! - [`databases`]: tests of databases only

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use snorri_core::{SagaId, Time};
use snorri_ports::store::{Appended, Batch, Filter, Lease, OutboxRow, SagaRow, Store};
use uuid::Uuid;

mod aside;
mod buffered;
mod claims;
mod commits;
mod database;
mod databases;
mod filters;
mod reads;
mod retention;
mod samples;

use samples::timed;

const LEASE: Lease = Lease { holder: Uuid::nil(), duration: Duration::from_millis(100) };

async fn commit(store: &Arc<dyn Store>, entries: impl IntoIterator<Item = Appended>) {
    let entries: Vec<_> = entries.into_iter().collect();
    let sagas: BTreeSet<_> = entries.iter().map(|appended| appended.saga).collect();
    let sagas = sagas.into_iter().map(|saga| timed(saga, None)).collect();
    store.commit(Batch { entries, sagas, ..Batch::default() }).await.expect("a commit");
}

async fn claim_due(store: &Arc<dyn Store>, now: i64) -> Vec<SagaId> {
    store.claim_due(Time(now), LEASE, 100).await.expect("wake-ups")
}

async fn claim_unsent(store: &Arc<dyn Store>, now: i64) -> Vec<OutboxRow> {
    store.claim_unsent(Time(now), LEASE, 100).await.expect("messages")
}

/// All sagas that match, read in pages of 4.
async fn list(store: &Arc<dyn Store>, mut filter: Filter) -> Vec<SagaRow> {
    let mut listed: Vec<SagaRow> = Vec::new();
    loop {
        let page = store.sagas(&filter, 4).await.expect("a page");
        assert!(page.len() <= 4);
        let Some(last) = page.last() else { return listed };
        filter.after = Some((last.started_at, last.id));
        listed.extend(page);
    }
}
