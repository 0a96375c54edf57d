//! Exchanges of others: inspected, and gone.

use super::*;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_can_be_inspected(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &["key"]).await;
    let exchange = bed.name("exchange");
    let state = bed.broker.inspect_exchange(&exchange).await;
    let usable =
        matches!(&state, ExchangeState::Exists | ExchangeState::Found(Exchange { durable: true, .. }));
    assert!(usable, "{state:?}");
    assert_eq!(bed.broker.inspect_exchange(&bed.name("nowhere")).await, ExchangeState::Missing);
    assert_eq!(bed.broker.inspect_exchange("").await, ExchangeState::Exists, "the default exchange");
    let nothing =
        bed.broker.publish(vec![Publication { exchange: bed.name("nowhere"), ..message("x", 1) }]).await;
    assert_eq!(nothing, [Published::Unroutable], "looking at it did not declare it");
    bed.publish_all(vec![message(&queue, "still works")]).await;
    bed.finish().await;
}

#[rstest]
#[case::type_("fanout", true, false, None)]
#[case::all_but_type("topic", false, true, Some("unrouted"))]
#[case::everything("headers", false, true, Some("it's unrouted"))]
#[case::nothing("topic", true, false, None)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_finds_out_how_an_exchange_was_declared(
    #[case] kind: &str,
    #[case] durable: bool,
    #[case] auto_delete: bool,
    #[case] alternate: Option<&str>,
    #[values(false, true)] internal: bool,
) {
    let bed = Bed::new(Kind::Amqp).await;
    let exchange = bed.name("exchange");
    let flags =
        ExchangeDeclareOptions { durable, auto_delete, internal, ..ExchangeDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    if let Some(alternate) = alternate {
        arguments.insert("alternate-exchange".into(), AMQPValue::LongString(alternate.into()));
    }
    let custom = ExchangeKind::Custom(kind.to_owned());
    let operator = bed::admin().await;
    let declared = operator.exchange_declare(exchange.clone().into(), custom, flags, arguments);
    declared.await.expect("declared");
    let alternate = alternate.map(str::to_owned);
    let kind = observed::ExchangeKind::from(kind);
    let found = Exchange { kind, durable, auto_delete, internal, alternate };
    assert_eq!(bed.broker.inspect_exchange(&exchange).await, ExchangeState::Found(found));
    let used = Topology { exchanges: vec![exchange], queues: Vec::new() };
    bed.broker.declare(&used).await.expect("it is used as it is");
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_consumes_although_an_exchange_of_a_binding_is_gone() {
    let bed = Bed::new(Kind::Amqp).await;
    let queue = bed.queue("in", &["key"]).await;
    let (operator, exchange) = (bed::admin().await, bed.name("exchange"));
    let (kept, handler) = keeper();
    let consuming = bed.consume(&queue, 10, handler);
    bed.publish_all(vec![message(&queue, 1)]).await;
    eventually("the first", async || kept.lock().expect("a lock").len() == 1).await;
    // From now on the exchange can neither be bound nor declared: it exists, and is internal to the broker.
    operator
        .exchange_delete(exchange.clone().into(), ExchangeDeleteOptions::default())
        .await
        .expect("deleted");
    let declared = operator.exchange_declare(
        exchange.into(),
        ExchangeKind::Fanout,
        ExchangeDeclareOptions { internal: true, ..ExchangeDeclareOptions::default() },
        FieldTable::default(),
    );
    declared.await.expect("declared");
    operator.queue_delete(queue.clone().into(), QueueDeleteOptions::default()).await.expect("deleted");
    eventually("the queue again", async || {
        bed.broker.publish(vec![message(&queue, 2)]).await == [Published::Confirmed]
    })
    .await;
    eventually("the second", async || kept.lock().expect("a lock").iter().any(|d| id(d) == "2")).await;
    consuming.stop().await;
    bed.finish().await;
}
