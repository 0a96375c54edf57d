//! The starter.

use serde_json::json;

use super::*;
use crate::definitions::Definitions;
use crate::event_buffer::{self, EventBuffer};
use crate::lane::ended::EndedSagas;
use crate::operations::start::{StartRequest, Starter};
use crate::operations::start_error::StartError;
use crate::outbox::backlog::Backlog;
use snorri_ports::store::Store;
use testkit::MemoryStore;

/// A starter with the definition of an order. At most `most` messages may wait in its outbox.
pub(super) async fn starter(lane: &ScriptedLane, most: u32) -> Starter {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let definitions = Arc::new(Definitions::new(Arc::clone(&store)));
    let order = include_str!("../../../../sagas/order.yaml");
    definitions.register("order.yaml", order, Time(0)).await.expect("registered");
    let options =
        event_buffer::Options { retention_period: std::time::Duration::from_secs(60), max_events: 10 };
    let (submitter, clock, metrics) = (lane.submitter.clone(), clock(), metrics());
    let event_buffer = Arc::new(EventBuffer::new(
        Arc::clone(&store),
        submitter.clone(),
        Arc::clone(&clock) as _,
        Arc::clone(&metrics),
        options,
    ));
    let backlog = Arc::new(Backlog::new(most));
    Starter {
        submitter,
        definitions,
        event_buffer,
        store,
        clock,
        metrics,
        backlog,
        ended: EndedSagas::default(),
    }
}

fn request(input: serde_json::Value) -> StartRequest {
    StartRequest { definition: "order".to_owned(), input, ..StartRequest::default() }
}

#[tokio::test]
async fn a_start_is_submitted_under_the_id_of_its_business_key() {
    let lane = ScriptedLane::new([ACCEPTED]);
    let starter = starter(&lane, 10).await;
    let started = starter.start(request(json!({"orderId": "o-1", "amount": 1}))).await.expect("started");
    assert_eq!((started.id, started.is_new), (SagaId::of_key("order", "o-1"), true));
    assert!(matches!(&lane.taken()[..], [(saga, Input::Start(_))] if *saga == started.id));
}

#[tokio::test]
async fn a_start_that_cannot_be_taken_reaches_no_lane() {
    let lane = ScriptedLane::new([ACCEPTED]);
    let invalid = starter(&lane, 10).await.start(request(json!({"orderId": "o-1"}))).await;
    assert!(matches!(invalid, Err(StartError::InvalidInput(_))), "{invalid:?}");
    let full = starter(&lane, 0).await.start(request(json!({"orderId": "o-1", "amount": 1}))).await;
    assert!(matches!(full, Err(StartError::Overloaded)), "{full:?}");
    assert!(lane.taken().is_empty());
}
