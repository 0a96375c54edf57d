//! Consumers: verdicts, redelivery, prefetch and stopping.

use super::*;

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
