//! Events and signals reach the sagas that they start or that wait for them.

use super::*;

const APPROVED: &str = r#"
saga: approved
version: 1
key: ${ input.id }
start:
  - event: order.placed
    exchange: shop.events
    when: ${ event.total > 0 }
    input: { id: "${ event.id }" }
steps:
  - name: paid
    wait: { event: order.paid, exchange: shop.events, correlate: "${ event.order }" }
    timeout: 1h
  - name: approval
    wait: { signal: go }
    timeout: 1h
"#;

#[tokio::test]
async fn an_event_starts_a_saga_and_others_and_signals_reach_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (engine, running) = engine(&store).await;
    engine.definitions.register("approved.yaml", APPROVED, Time(0)).await.expect("registered");
    let options = options();
    let events = || handler("events", &engine, &options);
    let id = SagaId::of_key("approved", "o-1");

    let unwanted = give(events(), event("order.placed", &json!({"id": "o-1", "total": 0}))).await;
    assert_eq!(unwanted, Verdict::Ack);
    assert!(engine.queries.view(id).await.expect("the store answers").is_none());
    let broken = give(events(), event("order.placed", &json!({"total": 1}))).await;
    assert_eq!((broken, codes(&store).await), (Verdict::Ack, vec!["refused".to_owned()]));
    for _ in 0..2 {
        let placed = give(events(), event("order.placed", &json!({"id": "o-1", "total": 1}))).await;
        assert_eq!(placed, Verdict::Ack, "a repetition is harmless");
    }
    assert_eq!(status(&engine, id).await, Status::Running);
    for order in ["unknown", "o-1"] {
        assert_eq!(give(events(), event("order.paid", &json!({"order": order}))).await, Verdict::Ack);
    }

    let signal = |key: &str| {
        let headers = [("snorri-definition", "approved"), ("snorri-key", key)];
        let headers = headers.map(|(name, value)| (name.to_owned(), HeaderValue::Text(value.to_owned())));
        let properties =
            Properties { kind: Some("go".to_owned()), headers: headers.into(), ..Properties::default() };
        give(handler("signals", &engine, &options), Delivery { properties, ..Delivery::default() })
    };
    assert_eq!(signal("unknown").await, Verdict::Ack, "it waits for its saga");
    assert_eq!(signal("o-1").await, Verdict::Ack);
    assert_eq!(status(&engine, id).await, Status::Completed);
    assert_eq!(signal("o-1").await, Verdict::Ack);
    assert_eq!(codes(&store).await.len(), 2, "it has ended");
    running.shut_down().await;
}

/// The event reaches the queue through the bindings that the definition asks for.
#[tokio::test]
async fn definitions_bind_the_events_that_they_listen_for() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let definitions = Definitions::new(Arc::clone(&store));
    definitions.register("approved.yaml", APPROVED, Time(0)).await.expect("registered");
    let broker = LocalBroker::new(local::Options::default());
    broker.declare(&own_topology("snorri")).await.expect("declared");
    definitions.declare(&broker, &Names::new("snorri")).await.expect("declared");
    for event in ["order.placed", "order.paid"] {
        let sent = Publication {
            exchange: "shop.events".to_owned(),
            routing_key: event.to_owned(),
            ..Publication::default()
        };
        assert_eq!(broker.publish(vec![sent]).await, [Published::Confirmed], "{event}");
    }
    assert_eq!(broker.depth("snorri.events").await.expect("a depth"), 2);
}
