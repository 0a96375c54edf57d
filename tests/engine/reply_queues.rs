//! Each process has a reply queue of its own, which another inherits.

use snorri_engine::intake;
use testkit::ManualClock;

use super::*;

/// One attempt may take longer than the queue of a process is kept after its end.
const LONG: &str = r#"
saga: long
version: 1
key: ${ input.id }
defaults: { exchange: shop.commands, compensation: { timeout: 10s } }
steps:
  - { name: ask, command: people.ask, timeout: 1h, compensate: { command: people.forget } }
"#;

fn own() -> Options {
    Options { own_reply_queue: true, ..options() }
}

/// An engine with its consumers, and the token that stops these.
async fn consuming(
    store: &Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> (Arc<Engine>, Running, CancellationToken) {
    let (engine, running) = engine_at(store, &own(), clock).await;
    let broker = &engine.parts.broker;
    broker.declare(&own_topology("snorri")).await.expect("declared");
    let stop = CancellationToken::new();
    intake::spawn(&engine, &own(), running.supervisor(), &stop);
    let queue = engine.parts.wire.names.replies_of(engine.parts.process);
    early::until("the reply queue", async || broker.depth(&queue).await.is_ok()).await;
    (engine, running, stop)
}

#[tokio::test]
async fn replies_come_back_to_the_process_unless_the_attempt_may_take_long() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (engine, running, stop) = consuming(&store, Arc::new(SystemClock)).await;
    engine.definitions.register("long.yaml", LONG, Time(0)).await.expect("registered");
    let sent = commands(&engine).await;
    let id = engine.starter.start(start("o-1")).await.expect("started").id;
    let long = StartRequest {
        definition: "long".to_owned(),
        input: json!({"id": "l-1"}),
        ..StartRequest::default()
    };
    engine.starter.start(long).await.expect("started");
    early::until("two commands", async || sent.lock().expect("a lock").len() == 2).await;
    let own = engine.parts.wire.names.replies_of(engine.parts.process);
    for command in sent.lock().expect("a lock").iter() {
        let expected = if command.routing_key == "people.ask" { "snorri.replies" } else { own.as_str() };
        assert_eq!(command.properties.reply_to.as_deref(), Some(expected), "{command:?}");
    }

    let attempt = Attempt { step: StepPath::new("reserve"), direction: Direction::Forward, number: 1 };
    let properties = Properties {
        kind: Some("success".to_owned()),
        correlation_id: Some(engine.parts.wire.correlation_id(id, &attempt)),
        ..Properties::default()
    };
    let reply = Publication {
        routing_key: own,
        properties,
        body: b"{\"reservationId\":1}".into(),
        ..Publication::default()
    };
    assert_eq!(engine.parts.broker.publish(vec![reply]).await, [Published::Confirmed]);
    early::until("the next command", async || sent.lock().expect("a lock").len() == 3).await;
    stop.cancel();
    running.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_a_process_that_has_ended_is_inherited_and_deleted_when_no_reply_can_come() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let clock = Arc::new(ManualClock::at(Time(1_000_000)));
    let ended = Uuid::now_v7();
    let (engine, running, stop) = consuming(&store, Arc::clone(&clock) as Arc<dyn Clock>).await;
    let (broker, names) = (&engine.parts.broker, &engine.parts.wire.names);
    let queue = names.replies_of(ended);
    broker.declare(&reply_topology(names, &queue, None)).await.expect("declared");
    let reply = || Publication { routing_key: queue.clone(), ..Publication::default() };
    assert_eq!(broker.publish(vec![reply()]).await, [Published::Confirmed]);
    store.process_seen(ended, clock.now()).await.expect("a row");

    // It shows no sign of life.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(broker.depth(&queue).await.expect("a depth"), 0, "what was left is handled");
    let letters = store.dead_letters(&LetterFilter::default(), 10).await.expect("dead letters");
    assert_eq!(letters[0].queue, "snorri.replies", "where it can be put back");
    tokio::time::sleep(Duration::from_mins(14)).await;
    assert_eq!(broker.publish(vec![reply()]).await, [Published::Confirmed]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(broker.depth(&queue).await.expect("a depth"), 0, "what still came is handled");

    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(broker.depth(&queue).await.is_err(), "it is deleted");
    let processes = store.processes().await.expect("processes");
    assert_eq!(processes.iter().map(|process| process.id).collect::<Vec<_>>(), [engine.parts.process]);
    stop.cancel();
    running.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_without_a_reply_queue_keeps_the_one_that_it_inherits() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Time(1_000_000)));
    let (engine, running) = engine_at(&store, &options(), Arc::clone(&clock)).await;
    let (broker, names) = (&engine.parts.broker, &engine.parts.wire.names);
    broker.declare(&own_topology("snorri")).await.expect("declared");
    let stop = CancellationToken::new();
    intake::spawn(&engine, &options(), running.supervisor(), &stop);
    let [with_queue, without] = std::array::from_fn(|_| Uuid::now_v7());
    let queue = names.replies_of(with_queue);
    broker.declare(&reply_topology(names, &queue, None)).await.expect("declared");
    for process in [with_queue, without] {
        store.process_seen(process, clock.now()).await.expect("a row");
    }

    tokio::time::sleep(Duration::from_mins(14)).await;
    let reply = Publication { routing_key: queue.clone(), ..Publication::default() };
    assert_eq!(broker.publish(vec![reply]).await, [Published::Confirmed], "replies may be under way");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(broker.depth(&queue).await.expect("a depth"), 0, "what still came is handled");
    let processes = store.processes().await.expect("processes");
    let ids: Vec<_> = processes.iter().map(|process| process.id).collect();
    assert!(ids.contains(&with_queue) && !ids.contains(&without), "{ids:?}");
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(broker.depth(&queue).await.is_err(), "it is deleted");
    stop.cancel();
    running.shut_down().await;
}
