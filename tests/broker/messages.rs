//! Messages: what arrives, expires, is refused or unroutable.

use super::*;

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
