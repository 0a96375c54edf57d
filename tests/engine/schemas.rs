//! Replies that violate their schema are kept as dead letters.

use super::*;

const RESERVED_BY_EVENT: &str = r#"
saga: reserved-by-event
version: 1
key: ${ input.id }
steps:
  - name: reserve
    command: inventory.reserve
    exchange: shop.commands
    timeout: 1h
    reply_events:
      - { event: stock.reserved, exchange: shop.events, correlate: "${ event.order }", outcome: success }
    reply: { type: object, required: [reservationId] }
    compensate: none
"#;

#[tokio::test]
async fn an_event_that_breaks_the_schema_of_a_reply_is_kept_as_it_came() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (engine, running) = engine(&store).await;
    engine
        .definitions
        .register("reserved-by-event.yaml", RESERVED_BY_EVENT, Time(0))
        .await
        .expect("registered");
    let input = json!({"id": "o-1"});
    let id = engine
        .starter
        .start(StartRequest { definition: "reserved-by-event".to_owned(), input, ..StartRequest::default() })
        .await
        .expect("started")
        .id;
    let body = json!({"order": "o-1"});
    let verdict = give(handler("events", &engine, &options()), event("stock.reserved", &body)).await;
    assert_eq!(verdict, Verdict::Ack);
    let kept = store.dead_letters(&LetterFilter::default(), 10).await.expect("dead letters");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let letter = &kept[0];
    assert_eq!((letter.saga, letter.step.as_deref()), (Some(id), Some("reserve")));
    assert_eq!((letter.queue.as_str(), letter.code.as_str()), ("snorri.events", "schema"));
    assert_eq!(letter.properties["headers"]["snorri-exchange"], "shop.events");
    assert_eq!(letter.body, body.to_string().into_bytes());
    running.shut_down().await;
}

#[tokio::test]
async fn a_reply_that_breaks_its_schema_is_kept() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (engine, running) = engine(&store).await;
    engine.definitions.register("strict.yaml", STRICT, Time(0)).await.expect("registered");
    let request = StartRequest { definition: "strict".to_owned(), ..start("o-1") };
    let id = engine.starter.start(request).await.expect("started").id;
    let attempt = Attempt { step: StepPath::new("reserve"), direction: Direction::Forward, number: 1 };
    let result = ReplyResult::Success(Arc::new(json!({"reservation": 7})));
    engine.submitter.submit(id, Input::Reply(Reply { attempt, result })).await.expect("accepted");
    let of_saga = LetterFilter { saga: Some(id), ..LetterFilter::default() };
    let kept = store.dead_letters(&of_saga, 10).await.expect("dead letters");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let body = String::from_utf8(kept[0].body.clone()).expect("text");
    assert_eq!((kept[0].code.as_str(), body.as_str()), ("schema", r#"{"reservation":7}"#));
    running.shut_down().await;
}
