//! Messages that the engine sends late or again, on ports that fail.

use testkit::{
    Fault, FaultyBroker, FaultyStore, ManualClock, Observer, Planned, Poisoned, Process, Script, Unobserved,
};

use super::*;

const PART: &str = r#"
saga: part
version: 1
key: ${ input.id }
defaults: { exchange: shop.commands }
steps:
  - { name: pay, command: payment.charge, compensate: none }
"#;

const WHOLE: &str = r#"
saga: whole
version: 1
key: ${ input.id }
steps:
  - { name: payment, saga: part, version: 1, input: { id: "${ input.id }" } }
"#;

/// An engine whose calls follow the script, on a broker with a queue for all commands, and the sagas that its store cannot read
/// or write.
pub async fn scripted(script: Vec<Planned>) -> (Arc<Engine>, Running, Arc<Poisoned>) {
    observed(script, Arc::new(Unobserved)).await
}

pub async fn observed(
    script: Vec<Planned>,
    observer: Arc<dyn Observer>,
) -> (Arc<Engine>, Running, Arc<Poisoned>) {
    let process = Process::new("engine", Arc::new(Script(script)), observer);
    let poisoned = Arc::new(Poisoned::default());
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let store: Arc<dyn Store> =
        Arc::new(FaultyStore::new(memory, Arc::clone(&process), Arc::clone(&poisoned)));
    let definitions = Arc::new(Definitions::new(Arc::clone(&store)));
    for source in [ORDER, PART, WHOLE] {
        definitions.register("source.yaml", source, Time(0)).await.expect("registered");
    }
    let broker = Arc::new(LocalBroker::new(local::Options::default()));
    let exchange = "shop.commands".to_owned();
    let bindings = vec![(exchange.clone(), "#".to_owned())];
    let participants = QueueDeclaration { name: "participants".to_owned(), bindings, dead_letters: None };
    broker
        .declare(&Topology { exchanges: vec![exchange], queues: vec![participants] })
        .await
        .expect("declared");
    let parts = Parts {
        reader: Arc::clone(&store),
        store,
        broker: Arc::new(FaultyBroker::new(broker, process)),
        clock: Arc::new(ManualClock::at(Time(1_000_000))),
        definitions,
        metrics: Arc::new(Metrics::new(&mut Registry::default())),
        wire: wire(),
        process: Uuid::now_v7(),
    };
    let lease = Duration::from_secs(5);
    let options = Options { outbox_poll_interval: Duration::from_secs(2), outbox_lease: lease, ..options() };
    let (engine, running) = Engine::spawn(&parts, &options);
    (engine, running, poisoned)
}

/// The queue refuses the command, so that it is sent late, and then the database takes longer than the command's timeout to
/// record the restart of its clock.
#[tokio::test(start_paused = true)]
async fn a_command_that_waited_for_the_database_is_sent_with_a_deadline_in_the_future() {
    let slow = Fault::Hang(Duration::from_secs(12));
    let (engine, running, _) = scripted(vec![
        Planned { method: "publish", number: 1, fault: Fault::Refuse },
        Planned { method: "commit", number: 2, fault: slow },
    ])
    .await;
    let sent = commands(&engine).await;
    engine.starter.start(start("o-1")).await.expect("started");
    early::until("the command", async || !sent.lock().expect("a lock").is_empty()).await;
    let Delivery { routing_key: command, properties, .. } = sent.lock().expect("a lock")[0].clone();
    let expiration = properties.expiration;
    assert_eq!(command, "inventory.reserve");
    assert!(expiration.is_some_and(|left| left > Duration::from_secs(9)), "{expiration:?}");
    running.shut_down().await;
}

/// The queue refuses the commands of two sagas, so that both are sent late, and then the database takes longer than their
/// timeout to record the restart of the clock of one of them.
#[tokio::test(start_paused = true)]
async fn a_late_command_does_not_wait_for_the_saga_of_another() {
    let (engine, running, _) = scripted(vec![
        Planned { method: "publish", number: 1, fault: Fault::Refuse },
        Planned { method: "publish", number: 2, fault: Fault::Refuse },
        Planned { method: "commit", number: 4, fault: Fault::Hang(Duration::from_secs(12)) },
    ])
    .await;
    let sent = commands(&engine).await;
    let lane = |key: &&String| SagaId::of_key("order", key).0.as_u64_pair().1 % 2;
    let keys: Vec<_> = (0..100).map(|number| format!("o-{number}")).collect();
    let other = keys.iter().find(|key| lane(key) != lane(&&keys[0])).expect("a key of the other lane");
    for key in [&keys[0], other] {
        engine.starter.start(start(key)).await.expect("started");
    }
    let began = tokio::time::Instant::now();
    early::until("a command", async || !sent.lock().expect("a lock").is_empty()).await;
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    early::until("both commands", async || sent.lock().expect("a lock").len() > 1).await;
    for command in sent.lock().expect("a lock").iter() {
        let expiration = command.properties.expiration;
        assert!(expiration.is_some_and(|left| left > Duration::from_secs(9)), "{expiration:?}");
    }
    running.shut_down().await;
}

/// The second attempt of a command waits for its queue while the reply to the first one arrives. Then the place of another
/// command becomes free, and waiting messages may be sent.
#[tokio::test(start_paused = true)]
async fn a_second_attempt_that_has_waited_is_sent_only_if_it_is_awaited() {
    let refused = Planned { method: "publish", number: 3, fault: Fault::Refuse };
    let (engine, running, _) = scripted(vec![refused]).await;
    let sent = commands(&engine).await;
    let other = engine.starter.start(start("o-0")).await.expect("started").id;
    let id = engine.starter.start(start("o-1")).await.expect("started").id;
    let attempt = Attempt { step: StepPath::new("reserve"), direction: Direction::Forward, number: 1 };
    let result = ReplyResult::Error(Problem::new(ProblemCode::UnreadableReply, "not now"));
    engine.submitter.submit(id, Input::Reply(Reply { attempt, result })).await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(1)).await;
    engine.submitter.submit(id, Input::wake()).await.expect("accepted");
    engine.submitter.submit(id, success("reserve")).await.expect("accepted");
    tokio::time::sleep(Duration::from_millis(400)).await;
    engine.submitter.submit(other, success("reserve")).await.expect("accepted");
    tokio::time::sleep(Duration::from_secs(30)).await;
    let sent = sent.lock().expect("a lock").clone();
    let reserved = sent.iter().filter(|command| command.routing_key == "inventory.reserve").count();
    assert_eq!(reserved, 2, "{sent:?}");
    running.shut_down().await;
}

/// A child ends while the row of its parent can be neither read nor written: only the child result ends the wait of the parent,
/// so it must not be lost.
#[tokio::test(start_paused = true)]
async fn a_child_result_that_the_parent_cannot_handle_is_delivered_again() {
    let (engine, running, poisoned) = scripted(Vec::new()).await;
    let request = StartRequest {
        definition: "whole".to_owned(),
        input: json!({"id": "o-1"}),
        ..StartRequest::default()
    };
    let whole = engine.starter.start(request).await.expect("started").id;
    let part = SagaId::of_key("part", "o-1");
    early::until("the child", async || engine.queries.row(part).await.expect("a store").is_some()).await;
    poisoned.insert(whole);
    engine.submitter.submit(part, success("pay")).await.expect("accepted");
    assert_eq!(status(&engine, part).await, Status::Completed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    poisoned.remove(whole);
    early::until("the parent", async || status(&engine, whole).await == Status::Completed).await;
    running.shut_down().await;
}
