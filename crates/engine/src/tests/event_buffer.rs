//! The event buffer: events whose saga has not started.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::event_buffer::{BufferResult, EarlyArrival, EventBuffer, Options};
use snorri_core::journal::{EventSource, ReceivedEvent};
use snorri_ports::store::Store;
use testkit::MemoryStore;

fn buffer(lane: &ScriptedLane, store: &Arc<MemoryStore>, max_events: u32) -> EventBuffer {
    let options = Options { retention_period: Duration::from_secs(60), max_events };
    let store = Arc::clone(store) as Arc<dyn Store>;
    EventBuffer::new(store, lane.submitter.clone(), clock(), metrics(), options)
}

fn early(saga: SagaId) -> EarlyArrival {
    let (source, body) = (EventSource::Signal("approved".into()), json!({}));
    let arrival = Arc::new(ReceivedEvent { source, id: Some("e-1".to_owned()), body });
    EarlyArrival { saga, arrival, queue: "snorri.signals".to_owned(), matched: false }
}

async fn stored(store: &MemoryStore, saga: SagaId) -> usize {
    store.buffered_events(saga, 10).await.expect("a store").len()
}

#[tokio::test]
async fn an_early_event_is_kept_until_its_saga_has_started() {
    let (lane, store) = (ScriptedLane::new([UNKNOWN, ACCEPTED]), Arc::new(MemoryStore::default()));
    let (buffer, saga) = (buffer(&lane, &store, 10), SagaId::of_key("order", "o-1"));
    assert!(matches!(buffer.buffer(early(saga)).await, Ok(BufferResult::Kept)));
    assert_eq!(stored(&store, saga).await, 1);
    lane.taken();
    buffer.deliver_to_new(saga).await;
    assert!(matches!(&lane.taken()[..], [(of, Input::Event(_))] if *of == saga));
    assert_eq!(stored(&store, saga).await, 0);
}

#[tokio::test]
async fn an_event_whose_saga_starts_meanwhile_is_delivered_at_once() {
    let (lane, store) = (ScriptedLane::new([ACCEPTED]), Arc::new(MemoryStore::default()));
    let (buffer, saga) = (buffer(&lane, &store, 10), SagaId::of_key("order", "o-1"));
    assert!(matches!(buffer.buffer(early(saga)).await, Ok(BufferResult::Delivered(Ok(())))));
    assert_eq!(stored(&store, saga).await, 0);
}

#[tokio::test]
async fn a_full_buffer_takes_no_more() {
    let (lane, store) = (ScriptedLane::new([UNKNOWN]), Arc::new(MemoryStore::default()));
    let (buffer, saga) = (buffer(&lane, &store, 0), SagaId::of_key("order", "o-1"));
    assert!(matches!(buffer.buffer(early(saga)).await, Ok(BufferResult::Full)));
    assert_eq!(stored(&store, saga).await, 0);
}
