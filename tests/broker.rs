//! The conformance suite of brokers, run on each of them.

#[path = "broker/bed.rs"]
mod bed;
#[path = "support/proxy.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod proxy;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bed::{Bed, Kind, eventually, handler, id, keeper, message};
use lapin::ExchangeKind;
use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use proxy::Proxy;
use rstest::rstest;
use sha2::{Digest, Sha256};
use snorri_broker::amqp::AmqpBroker;
use snorri_ports::broker::{
    Broker, Cut, Delivery, Error, HeaderValue, Properties, Publication, Published, QueueDeclaration,
    Topology, Verdict,
};
use snorri_wire::observed::{self, Exchange, ExchangeState};
use tokio::sync::Semaphore;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_arrives_as_it_was_sent(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &["order.*"]).await;
    let text = |text: &str| Some(text.to_owned());
    let sent = Publication {
        exchange: bed.name("exchange"),
        routing_key: "order.placed".to_owned(),
        properties: Properties {
            kind: text("placed"),
            message_id: text("m-1"),
            correlation_id: text("c-1"),
            reply_to: text("answers"),
            content_type: text("application/json"),
            content_encoding: text("utf-8"),
            app_id: text("test"),
            timestamp: Some(1_700_000_000),
            expiration: Some(Duration::from_secs(3_600)),
            headers: BTreeMap::from([
                ("text".to_owned(), HeaderValue::Text("größe".to_owned())),
                ("integer".to_owned(), HeaderValue::Integer(i64::MIN)),
            ]),
        },
        // More than one frame of AMQP.
        body: (0..300_000).map(|byte| byte as u8).collect(),
    };
    let (kept, handler) = keeper();
    let consuming = bed.consume(&queue, 10, handler);
    bed.publish_all(vec![sent.clone(), message(&queue, "direct")]).await;
    eventually("both messages", async || kept.lock().expect("a lock").len() == 2).await;
    {
        let kept = kept.lock().expect("a lock");
        let first = &kept[0];
        assert_eq!((&first.exchange, &first.routing_key), (&sent.exchange, &sent.routing_key));
        assert_eq!((&first.properties, &first.body), (&sent.properties, &sent.body));
        assert!(!first.redelivered);
        assert_eq!(id(&kept[1]), "direct");
    }
    consuming.stop().await;
    assert_eq!(bed.broker.depth(&queue).await.expect("a depth"), 0);
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_gone_once_it_has_expired(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &[]).await;
    let mut short = message(&queue, "short");
    short.properties.expiration = Some(Duration::from_millis(20));
    bed.publish_all(vec![short, message(&queue, "forever")]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (kept, handler) = keeper();
    let consuming = bed.consume(&queue, 10, handler);
    eventually("the other one", async || !kept.lock().expect("a lock").is_empty()).await;
    consuming.stop().await;
    assert_eq!(kept.lock().expect("a lock").iter().map(id).collect::<Vec<_>>(), ["forever"]);
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses() {
    let bed = Bed::new(Kind::Amqp).await;
    let queue = bed.name("full");
    let channel = bed::admin().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), options, arguments).await.expect("declared");
    let published = bed.broker.publish((0..3).map(|number| message(&queue, number)).collect()).await;
    assert_eq!(published, [Published::Confirmed, Published::Refused, Published::Refused]);
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.expect("deleted");
    bed.queue("in", &[]).await; // `finish` deletes the exchange
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_matched_by_words(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &["order.*", "payment.#", "exact"]).await;
    let keys = ["order.placed", "order.a.b", "order", "payment", "payment.a.b", "exact", "exactly", ""];
    let published = bed.broker.publish(keys.map(|key| bed.to_exchange(key, key)).to_vec()).await;
    let (yes, no) = (Published::Confirmed, Published::Unroutable);
    assert_eq!(published, [yes, no, no, yes, yes, yes, no, no]);
    bed.await_depth(&queue, 4).await;
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_what_has_no_queue_is_unroutable(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Arc::new(Bed::new(kind).await);
    let queue = bed.queue("in", &[]).await;
    let round = |round: usize| {
        let (bed, queue) = (bed.clone(), queue.clone());
        async move {
            let nowhere = |index: usize| (index + round).is_multiple_of(7) || (240..260).contains(&index);
            let batch = (0..500).map(|index| {
                let to = if nowhere(index) { bed.name("nowhere") } else { queue.clone() };
                message(&to, format!("{round}-{index}"))
            });
            let published = bed.broker.publish(batch.collect()).await;
            for (index, published) in published.into_iter().enumerate() {
                let expected = if nowhere(index) { Published::Unroutable } else { Published::Confirmed };
                assert_eq!(published, expected, "round {round}, message {index}");
            }
        }
    };
    // Concurrently, more than there are channels.
    let rounds: Vec<_> = (0..10).map(|number| tokio::spawn(round(number))).collect();
    for round in rounds {
        round.await.expect("a round");
    }
    Arc::into_inner(bed).expect("the last one").finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_is_done(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let (queue, dead) = (bed.queue("in", &[]).await, bed.name("dead"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = seen.clone();
    let handler = handler(move |delivery| {
        see.lock().expect("a lock").push((id(&delivery), delivery.redelivered));
        let verdict = match id(&delivery).as_str() {
            "again" if !delivery.redelivered => Verdict::Requeue,
            "bad" => Verdict::DeadLetter { code: "bad", reason: "it is bad".to_owned() },
            _ => Verdict::Ack,
        };
        async { Ok(verdict) }
    });
    let consuming = bed.consume(&queue, 1, handler);
    let mut bad = message(&queue, "bad");
    bad.properties.headers.insert("own".to_owned(), HeaderValue::Integer(1));
    bad.body = b"{]".to_vec();
    bed.publish_all(vec![message(&queue, "again"), bad, message(&queue, "good")]).await;
    eventually("four deliveries", async || seen.lock().expect("a lock").len() == 4).await;
    bed.await_depth(&dead, 1).await;
    consuming.stop().await;
    let order: Vec<(String, bool)> = seen.lock().expect("a lock").clone();
    let expected = [("again", false), ("again", true), ("bad", false), ("good", false)];
    assert_eq!(order, expected.map(|(id, again)| (id.to_owned(), again)), "put back to the front");
    assert_eq!(bed.broker.depth(&queue).await.expect("a depth"), 0);

    let (kept, keep) = keeper();
    let consuming = bed.consume(&dead, 1, keep);
    eventually("the dead letter", async || kept.lock().expect("a lock").len() == 1).await;
    consuming.stop().await;
    let letter = kept.lock().expect("a lock").remove(0);
    let text = |text: &str| HeaderValue::Text(text.to_owned());
    let headers = [
        ("own", HeaderValue::Integer(1)),
        ("snorri-code", text("bad")),
        ("snorri-exchange", text("")),
        ("snorri-queue", text(&queue)),
        ("snorri-reason", text("it is bad")),
        ("snorri-routing-key", text(&queue)),
    ];
    assert_eq!(letter.properties.headers, headers.map(|(name, value)| (name.to_owned(), value)).into());
    assert_eq!((id(&letter).as_str(), letter.body.as_slice()), ("bad", b"{]".as_slice()));
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_handler_fails_on_is_delivered_again(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &[]).await;
    let times = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let count = times.clone();
    let handler = handler(move |delivery| {
        let id = id(&delivery);
        let time = *count.lock().expect("a lock").entry(id.clone()).and_modify(|n| *n += 1).or_insert(1);
        async move {
            match (id.as_str(), time) {
                ("fails", 1) => Err("no".into()),
                ("panics", 1) => panic!("on purpose"),
                _ => Ok(Verdict::Ack),
            }
        }
    });
    let consuming = bed.consume(&queue, 10, handler);
    bed.publish_all(["fails", "panics", "works"].map(|id| message(&queue, id)).to_vec()).await;
    let expected = [("fails", 2), ("panics", 2), ("works", 1)].map(|(id, n)| (id.to_owned(), n)).into();
    eventually("all deliveries", async || *times.lock().expect("a lock") == expected).await;
    consuming.stop().await;
    assert_eq!(bed.broker.depth(&queue).await.expect("a depth"), 0);
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_is_tried_again_and_never_becomes_a_dead_letter(
    #[values(Kind::Local, Kind::Amqp)] kind: Kind,
) {
    const TIMES: usize = 2 * bed::DELIVERY_LIMIT as usize;
    let bed = Bed::new(kind).await;
    let (queue, dead) = (bed.queue("in", &[]).await, bed.name("dead"));
    let times = Arc::new(AtomicUsize::new(0));
    let count = times.clone();
    let handler = handler(move |_| {
        let is_last = count.fetch_add(1, Ordering::SeqCst) >= TIMES;
        async move { Ok(if is_last { Verdict::Ack } else { Verdict::Requeue }) }
    });
    let consuming = bed.consume(&queue, 10, handler);
    bed.publish_all(vec![message(&queue, "never")]).await;
    eventually("taken at last", async || times.load(Ordering::SeqCst) > TIMES).await;
    consuming.stop().await;
    bed.await_depth(&queue, 0).await;
    assert_eq!(bed.broker.depth(&dead).await.expect("a depth"), 0);
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handler_has_no_more_than_the_prefetch(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    const PREFETCH: usize = 7;
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &[]).await;
    let (now, most, done) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (now.clone(), most.clone(), done.clone());
    let handler = handler(move |_| {
        let (now, most, done) = counters.clone();
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            done.fetch_add(1, Ordering::SeqCst);
            Ok(Verdict::Ack)
        }
    });
    bed.publish_all((0..200).map(|id| message(&queue, id)).collect()).await;
    let consuming = bed.consume(&queue, PREFETCH as u16, handler);
    eventually("all messages", async || done.load(Ordering::SeqCst) == 200).await;
    assert_eq!(most.load(Ordering::SeqCst), PREFETCH);
    consuming.stop().await;
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_slow_message_does_not_hold_the_others_up(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &[]).await;
    let (gate, done) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (closed, count) = (gate.clone(), done.clone());
    let handler = handler(move |delivery| {
        let (gate, done) = (closed.clone(), count.clone());
        async move {
            if id(&delivery) == "0" {
                gate.acquire().await?.forget();
            }
            done.fetch_add(1, Ordering::SeqCst);
            Ok(Verdict::Ack)
        }
    });
    let consuming = bed.consume(&queue, 10, handler);
    bed.publish_all((0..100).map(|id| message(&queue, id)).collect()).await;
    eventually("all but the slow one", async || done.load(Ordering::SeqCst) == 99).await;
    gate.add_permits(1);
    consuming.stop().await;
    assert_eq!(done.load(Ordering::SeqCst), 100);
    assert_eq!(bed.broker.depth(&queue).await.expect("a depth"), 0);
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_waits_for_the_handler_and_loses_nothing(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    const PREFETCH: usize = 10;
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &[]).await;
    let (gate, taken) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (closed, count) = (gate.clone(), taken.clone());
    let handler = handler(move |_| {
        let gate = closed.clone();
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            gate.acquire().await?.forget();
            Ok(Verdict::Ack)
        }
    });
    bed.publish_all((0..50).map(|id| message(&queue, id)).collect()).await;
    let consuming = bed.consume(&queue, PREFETCH as u16, handler);
    eventually("a full handler", async || taken.load(Ordering::SeqCst) == PREFETCH).await;
    consuming.ask_to_stop();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!consuming.is_stopped(), "it waits for its handler");
    gate.add_permits(1_000);
    consuming.stop().await;
    assert_eq!(taken.load(Ordering::SeqCst), PREFETCH, "it took no more");
    bed.await_depth(&queue, 40).await;

    let (kept, keep) = keeper();
    let consuming = bed.consume(&queue, 100, keep);
    eventually("the rest", async || kept.lock().expect("a lock").len() == 40).await;
    consuming.stop().await;
    let ids: HashSet<String> = kept.lock().expect("a lock").iter().map(id).collect();
    assert_eq!(ids, (10..50).map(|id| id.to_string()).collect());
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_share_a_queue(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &[]).await;
    let (all, work) = keeper();
    let consuming: Vec<_> = (0..3).map(|_| bed.consume(&queue, 5, work.clone())).collect();
    for batch in 0..10 {
        bed.publish_all((0..20).map(|id| message(&queue, batch * 20 + id)).collect()).await;
    }
    eventually("all messages", async || all.lock().expect("a lock").len() >= 200).await;
    for consuming in consuming {
        consuming.stop().await;
    }
    let mut ids: Vec<String> = all.lock().expect("a lock").iter().map(id).collect();
    ids.sort_by_key(|id| id.parse::<u32>().expect("a number"));
    assert_eq!(ids, (0..200).map(|id| id.to_string()).collect::<Vec<_>>());
    bed.finish().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_can_be_asked_how_it_is(#[values(Kind::Local, Kind::Amqp)] kind: Kind) {
    let bed = Bed::new(kind).await;
    let queue = bed.queue("in", &[]).await;
    bed.broker.check().await.expect("it works");
    bed.broker.check().await.expect("it works again");
    let availability = bed.broker.availability();
    assert!(*availability.borrow());
    bed.publish_all(vec![message(&queue, 1), message(&queue, 2)]).await;
    bed.await_depth(&queue, 2).await;
    assert!(matches!(bed.broker.depth(&bed.name("nowhere")).await, Err(Error::Refused(_))));
    let broker = bed.broker.clone();
    bed.finish().await;
    assert!(matches!(broker.check().await, Err(Error::Unavailable(_))), "it is closed");
    assert!(!*availability.borrow());
    assert_eq!(broker.publish(vec![message(&queue, 3)]).await, [Published::Unknown]);
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_consumes_a_deleted_queue_anew() {
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
async fn amqp_brings_back_all_that_others_delete() {
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
async fn amqp_declares_a_deleted_exchange_anew() {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_parks_only_what_costs_the_connection() {
    // A node may lose its dead-letter workers, and then serves no queue that relies on them.
    if bed::is_ours() {
        bed::service("cripple").await;
    }
    let bed = Bed::new(Kind::Amqp).await;
    let (queue, parked) = (bed.queue("in", &["key"]).await, bed.name("parked"));
    let proxy = Proxy::choking_on(&bed::url(), b"what no client survives").await;
    let options = snorri_broker::amqp::Options { url: proxy.url.into(), ..bed::options(bed.prefix()) };
    let broker = Arc::new(AmqpBroker::connect(&options).await.expect("a connection"));
    broker.declare(&bed.topology("in", &["key"])).await.expect("declared");
    let good = |number: usize| bed.to_exchange("key", number);
    let mut batch: Vec<_> = (0..20).map(good).collect();
    batch.insert(7, message(&queue, "what no client survives"));
    bed.publish_all(batch).await;
    let (kept, keep) = keeper();
    let stop = tokio_util::sync::CancellationToken::new();
    let consuming = {
        let (broker, queue, keep, stop) = (broker.clone(), queue.clone(), keep.clone(), stop.clone());
        tokio::spawn(async move { broker.consume(&queue, 10, keep, stop).await })
    };
    eventually("the culprit among the parked", async || {
        if bed.broker.depth(&bed.name("probation")).await.expect("a depth") > 0 {
            broker.drain_probation(keep.clone(), stop.clone()).await;
        }
        bed.broker.depth(&parked).await.expect("a depth") == 1
    })
    .await;
    bed.publish_all(vec![good(20)]).await;
    let all: HashSet<String> = (0..21).map(|number| number.to_string()).collect();
    eventually("all others", async || {
        kept.lock().expect("a lock").iter().map(id).collect::<HashSet<String>>() == all
    })
    .await;
    let exchange = bed.name("exchange");
    let moved = |delivery: &Delivery| delivery.moved_from.as_ref() == Some(&queue);
    assert!(kept.lock().expect("a lock").iter().any(moved), "those that came with it were in probation, too");
    let as_it_came = |delivery: &Delivery| delivery.exchange == exchange && delivery.routing_key == "key";
    assert!(kept.lock().expect("a lock").iter().all(as_it_came));
    stop.cancel();
    consuming.await.expect("no panic");
    assert_eq!(bed.broker.depth(&bed.name("dead")).await.expect("a depth"), 0);
    broker.close().await;
    bed.finish().await;
    if bed::is_ours() {
        bed::service("heal").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_holds_only_so_many_bytes() {
    const BYTES: usize = 300_000;
    let bed = Bed::new(Kind::Amqp).await;
    let queue = bed.queue("in", &[]).await;
    let large = |number: usize| Publication { body: vec![0; BYTES], ..message(&queue, number) };
    bed.publish_all((0..100).map(large).collect()).await;
    let (gate, now) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (closed, count) = (gate.clone(), now.clone());
    let handler = handler(move |_| {
        let (gate, now) = (closed.clone(), count.clone());
        async move {
            now.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await?.forget();
            Ok(Verdict::Ack)
        }
    });
    let consuming = bed.consume(&queue, 2_000, handler);
    let in_handler = (8 * 1024 * 1024) / BYTES + 1;
    eventually("as many as fit", async || now.load(Ordering::SeqCst) == in_handler).await;
    bed.await_depth(&queue, 100 - 64).await;
    assert_eq!(now.load(Ordering::SeqCst), in_handler, "the others wait");
    gate.add_permits(100);
    eventually("all messages", async || now.load(Ordering::SeqCst) == 100).await;
    consuming.stop().await;
    assert_eq!(bed.broker.depth(&queue).await.expect("a depth"), 0);
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_cuts_bodies_that_are_too_long() {
    let bed = Bed::new(Kind::Amqp).await;
    let queue = bed.queue("in", &[]).await;
    let options = snorri_broker::amqp::Options { max_body: Some(1_000), ..bed::options(bed.prefix()) };
    let broker = Arc::new(AmqpBroker::connect(&options).await.expect("a connection"));
    let body = |bytes: usize| (0..bytes).map(|byte| byte as u8).collect::<Vec<u8>>();
    let sizes = [1_000, 1_001, 5_000_000, 10];
    bed.publish_all(sizes.map(|bytes| Publication { body: body(bytes), ..message(&queue, bytes) }).to_vec())
        .await;
    let (kept, handler) = keeper();
    let stop = tokio_util::sync::CancellationToken::new();
    let consuming = {
        let (broker, stop) = (broker.clone(), stop.clone());
        tokio::spawn(async move { broker.consume(&queue, 10, handler, stop).await })
    };
    eventually("all messages", async || kept.lock().expect("a lock").len() == sizes.len()).await;
    for delivery in kept.lock().expect("a lock").iter() {
        let bytes: usize = id(delivery).parse().expect("a number");
        let whole = body(bytes);
        assert_eq!(delivery.body, whole[..bytes.min(1_000)]);
        let cut = (bytes > 1_000).then(|| Cut { bytes: bytes as u64, sha256: Sha256::digest(&whole).into() });
        assert_eq!((delivery.cut, delivery.body_bytes()), (cut, bytes as u64));
        assert!(delivery.properties.headers.is_empty(), "{:?}", delivery.properties.headers);
    }
    stop.cancel();
    consuming.await.expect("no panic");
    broker.close().await;
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_delivers_once_while_the_prefetch_changes() {
    let bed = Bed::new(Kind::Amqp).await;
    let queue = bed.queue("in", &[]).await;
    let bytes = |number: usize| if (60..140).contains(&number) { 1_000_000 } else { 10 };
    for batch in 0..6 {
        let sized = |number| Publication { body: vec![0; bytes(number)], ..message(&queue, number) };
        bed.publish_all((batch * 50..(batch + 1) * 50).map(sized).collect()).await;
    }
    let (kept, handler) = keeper();
    let consuming = bed.consume(&queue, 2_000, handler);
    eventually("all messages", async || kept.lock().expect("a lock").len() >= 300).await;
    bed.await_depth(&queue, 0).await;
    consuming.stop().await;
    {
        let kept = kept.lock().expect("a lock");
        let ids: HashSet<String> = kept.iter().map(id).collect();
        // Messages on the way to a consumer that ends, because messages are large, are marked as redelivered.
        assert_eq!((kept.len(), ids.len()), (300, 300));
    }
    assert_eq!(bed.broker.depth(&queue).await.expect("a depth"), 0);
    bed.finish().await;
}

/// A message that is returned too often is put aside: having more sent ahead must not count as a delivery.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_has_more_sent_ahead_without_a_second_delivery() {
    let bed = Bed::new(Kind::Amqp).await;
    let queue = bed.queue("in", &[]).await;
    bed.publish_all((0..1_000).map(|number| message(&queue, number)).collect()).await;
    let (kept, handler) = keeper();
    let consuming = bed.consume(&queue, 500, handler);
    eventually("all messages", async || kept.lock().expect("a lock").len() >= 1_000).await;
    consuming.stop().await;
    let redelivered = kept.lock().expect("a lock").iter().filter(|delivery| delivery.redelivered).count();
    assert_eq!((kept.lock().expect("a lock").len(), redelivered), (1_000, 0));
    bed.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_is_available_while_it_is_connected() {
    let proxy = Proxy::to(&bed::url()).await;
    let options = snorri_broker::amqp::Options {
        url: proxy.url.clone().into(),
        ..bed::options(&format!("test-{}", uuid::Uuid::now_v7().simple()))
    };
    let broker = AmqpBroker::connect(&options).await.expect("a connection");
    let mut availability = broker.availability();
    assert!(*availability.borrow_and_update());
    proxy.cut();
    let change = tokio::time::timeout(bed::PATIENCE, availability.wait_for(|available| !available));
    change.await.expect("in time").expect("a change");
    proxy.mend();
    let change = tokio::time::timeout(bed::PATIENCE, availability.wait_for(|available| *available));
    change.await.expect("in time").expect("a change");
    broker.close().await;
    assert!(!*availability.borrow_and_update());
    let probe = options.probe_queue.into();
    bed::admin().await.queue_delete(probe, QueueDeleteOptions::default()).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_says_why_it_cannot_connect() {
    let with_url = |url: &str| {
        let options = bed::options("test-unused");
        snorri_broker::amqp::Options { url: url.into(), connect_timeout: Duration::from_secs(2), ..options }
    };
    let refused = AmqpBroker::connect(&with_url("http://localhost")).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    let mut stranger: lapin::uri::AMQPUri = bed::url().parse().expect("a URL");
    stranger.authority.userinfo.password = "wrong".to_owned();
    let url = format!(
        "amqp://{}:wrong@{}:{}/%2f",
        stranger.authority.userinfo.username, stranger.authority.host, stranger.authority.port
    );
    let refused = AmqpBroker::connect(&with_url(&url)).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
}

/// A pause that doubles up to 5 s would have been 3.2 s long at the return of the broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqp_reaches_a_broker_soon_after_its_return() {
    let proxy = Proxy::to(&bed::url()).await;
    let options = snorri_broker::amqp::Options {
        url: proxy.url.clone().into(),
        reconnect_delay_max: Duration::from_secs(5),
        ..bed::options(&format!("test-{}", uuid::Uuid::now_v7().simple()))
    };
    let broker = AmqpBroker::connect(&options).await.expect("a connection");
    let mut availability = broker.availability();
    proxy.cut();
    availability.wait_for(|is_available| !is_available).await.expect("a broker");
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    proxy.mend();
    let within = Duration::from_millis(2_000);
    let again = tokio::time::timeout(within, availability.wait_for(|is_available| *is_available)).await;
    again.expect("reached within 2 s").expect("a broker");
    broker.close().await;
    let probe = options.probe_queue.into();
    bed::admin().await.queue_delete(probe, QueueDeleteOptions::default()).await.expect("deleted");
}
