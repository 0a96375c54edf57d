//! The topology: declared, verified, restored.

use super::*;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_something_else_is_refused(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &[]).await;
    let other = QueueDeclaration { name: queue.clone(), bindings: Vec::new(), dead_letters: None };
    let declared = bed.broker.declare(&Topology { exchanges: Vec::new(), queues: vec![other] }).await;
    let Err(Error::Refused(reason)) = declared else {
        panic!("not refused: {declared:?}");
    };
    assert!(reason.contains(&format!("queue `{queue}` exists")), "{reason}");
    bed.publish_all(vec![message(&queue, "still works")]).await;
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_deleted_with_its_messages(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &["key"]).await;
    bed.publish_all(vec![message(&queue, 1)]).await;
    bed.broker.delete_queue(&queue).await.expect("deleted");
    assert!(matches!(bed.broker.depth(&queue).await, Err(Error::Refused(_))));
    let lost = vec![message(&queue, 2), bed.to_exchange("key", 3)];
    assert_eq!(bed.broker.publish(lost).await, [Published::Unroutable; 2]);
    bed.broker.delete_queue(&queue).await.expect("it is gone already");
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_consumes_a_deleted_queue_again() {
    let bed = Bed::new(Kind::Amqp).await;
    let queue = bed.queue("in", &["key"]).await;
    let (kept, handler) = keeper();
    let consuming = bed.consume(&queue, 10, handler);
    bed.publish_all(vec![message(&queue, "before")]).await;
    eventually("the first", async || kept.lock().expect("a lock").len() == 1).await;
    let deleted = bed::admin().await.queue_delete(queue.clone().into(), QueueDeleteOptions::default()).await;
    deleted.expect("deleted");
    eventually("a queue with its binding", async || {
        bed.broker.publish(vec![bed.to_exchange("key", "after")]).await == [Published::Confirmed]
    })
    .await;
    eventually("the second", async || kept.lock().expect("a lock").iter().any(|d| id(d) == "after")).await;
    consuming.stop().await;
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_restores_all_that_others_delete() {
    let bed = Bed::new(Kind::Amqp).await;
    let queue = bed.queue("in", &["key"]).await;
    let (kept, handler) = keeper();
    let consuming = [bed.consume(&queue, 10, handler.clone()), bed.consume(&bed.name("dead"), 10, handler)];
    let operator = bed::admin().await;
    let (queues, exchanges) = (["in", "dead", "probation", "parked", "probe"], ["exchange", "probation"]);
    for deleted in queues {
        let gone = operator.queue_delete(bed.name(deleted).into(), QueueDeleteOptions::default());
        gone.await.expect("deleted");
    }
    for deleted in exchanges {
        let gone = operator.exchange_delete(bed.name(deleted).into(), ExchangeDeleteOptions::default());
        gone.await.expect("deleted");
    }
    for name in queues.map(|name| bed.name(name)) {
        eventually(&name, async || {
            let _ = bed.broker.check().await; // declares the queue of the probe again
            bed.broker.depth(&name).await.is_ok()
        })
        .await;
    }
    for name in exchanges.map(|name| bed.name(name)) {
        eventually(&name, async || bed.broker.inspect_exchange(&name).await != ExchangeState::Missing).await;
    }
    eventually("the binding", async || {
        bed.broker.publish(vec![bed.to_exchange("key", 1)]).await == [Published::Confirmed]
    })
    .await;
    bed.publish_all(vec![message(&bed.name("dead"), 2)]).await;
    eventually("both consumers", async || {
        let kept = kept.lock().expect("a lock");
        ["1", "2"].iter().all(|number| kept.iter().any(|delivery| id(delivery) == *number))
    })
    .await;
    bed.broker.check().await.expect("it works again");
    for consuming in consuming {
        consuming.stop().await;
    }
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_refuses_the_queues_of_another_database() {
    let bed = Bed::new(Kind::Amqp).await;
    let connect = async |number: u128, declare_topology: bool| {
        let database = Some(uuid::Uuid::from_u128(number));
        let options =
            snorri_broker::amqp::Options { database, declare_topology, ..bed::options(bed.prefix()) };
        AmqpBroker::connect(&options).await.expect("a connection")
    };
    let topology = bed.topology("in", &["key"]);
    bed.own(&["in", "dead"]);
    let brokers = [connect(1, false).await, connect(1, true).await];
    for broker in &brokers {
        broker.declare(&topology).await.expect("the same database");
    }
    for declare_topology in [true, false] {
        let other = connect(2, declare_topology).await;
        let Err(Error::Refused(reason)) = other.declare(&topology).await else {
            panic!("it took the queues of another database");
        };
        assert!(reason.contains("Choose another `broker.prefix`"), "{reason}");
        other.close().await;
    }
    for broker in brokers {
        broker.close().await;
    }
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_declares_a_deleted_exchange_again() {
    let bed = Bed::new(Kind::Amqp).await;
    let queue = bed.queue("in", &["key"]).await;
    let operator = bed::admin().await;
    let deleted = operator.exchange_delete(bed.name("exchange").into(), ExchangeDeleteOptions::default());
    deleted.await.expect("deleted");
    let foreign = Publication { exchange: bed.name("foreign"), ..message("key", "foreign") };
    let batch = vec![message(&queue, 1), bed.to_exchange("key", 2), foreign, message(&queue, 3)];
    let (yes, no) = (Published::Confirmed, Published::Unroutable);
    assert_eq!(bed.broker.publish(batch).await, [yes, yes, no, yes], "one bad exchange spoils nothing else");
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_only_verifies_when_others_own_the_topology() {
    let bed = Bed::new(Kind::Amqp).await;
    let queue = bed.queue("in", &["key"]).await;
    let options =
        snorri_broker::amqp::Options { declare_topology: false, ..bed::options(&bed.name("verify")) };
    let verifying = AmqpBroker::connect(&options).await.expect("a connection");
    let topology = |name: &str| {
        let queue = QueueDeclaration { name: name.to_owned(), bindings: Vec::new(), dead_letters: None };
        Topology { exchanges: vec![bed.name("exchange")], queues: vec![queue] }
    };
    verifying.declare(&topology(&queue)).await.expect("it is there");
    let missing = Topology { exchanges: vec![bed.name("missing")], queues: Vec::new() };
    let Err(Error::Refused(reason)) = verifying.declare(&missing).await else {
        panic!("an exchange was declared");
    };
    assert!(reason.contains("`broker.declare_topology = false`"), "{reason}");
    let state = verifying.inspect_exchange(&bed.name("missing")).await;
    assert!(matches!(state, ExchangeState::Unavailable(_)), "{state:?}");
    assert_eq!(verifying.inspect_exchange(&bed.name("exchange")).await, ExchangeState::Exists);
    verifying.check().await.expect("it works without a probe queue");
    verifying.close().await;
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_declares_its_queues_where_others_own_the_exchanges() {
    let bed = Bed::new(Kind::Amqp).await;
    let exchange = bed.name("exchange");
    let fanout = ExchangeKind::Fanout;
    let operator = bed::admin().await;
    let declared = operator.exchange_declare(
        exchange.clone().into(),
        fanout,
        ExchangeDeclareOptions::default(),
        FieldTable::default(),
    );
    declared.await.expect("declared");
    let options =
        snorri_broker::amqp::Options { declare_topology: false, ..bed::options(&bed.name("verify")) };
    let verifying = AmqpBroker::connect(&options).await.expect("a connection");
    let queue = bed.own(&["in", "dead"])[0].clone();
    let declared = QueueDeclaration {
        name: queue.clone(),
        bindings: vec![(exchange.clone(), "key".to_owned())],
        dead_letters: Some(bed.name("dead")),
    };
    let topology = Topology { exchanges: vec![exchange], queues: vec![declared] };
    verifying.declare(&topology).await.expect("queues are declared, the exchange is used");
    let published = verifying.publish(vec![bed.to_exchange("key", 1)]).await;
    assert_eq!(published, [Published::Confirmed]);
    bed.await_depth(&queue, 1).await;
    verifying.close().await;
    bed.finish().await;
}
