//! Bad and large messages: parked, cut, and bounded in bytes.

use super::*;

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
