//! The engine on ports in memory: several engines on the same sagas.

#[path = "engine/children.rs"]
mod children;
#[path = "engine/computing.rs"]
mod computing;
#[path = "engine/early.rs"]
mod early;
#[path = "engine/events.rs"]
mod events;
#[path = "engine/letters.rs"]
mod letters;
#[path = "engine/renewed.rs"]
mod renewed;
#[path = "engine/repeated.rs"]
mod repeated;
#[path = "engine/reply_queues.rs"]
mod reply_queues;
#[path = "engine/scheduled.rs"]
mod scheduled;
#[path = "engine/schemas.rs"]
mod schemas;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::registry::Registry;
use serde_json::json;
use snorri_broker::local::{self, LocalBroker};
use snorri_core::input::{Attempt, Reply, ReplyResult};
use snorri_core::journal::{By, Cause, EventSource, Problem, ProblemCode, ReceivedEvent};
use snorri_core::{Direction, Entry, Input, Rejection, SagaId, Status, StepPath, Time};
use snorri_engine::definitions::Definitions;
use snorri_engine::event_buffer;
use snorri_engine::intake::Intake;
use snorri_engine::metrics::Metrics;
use snorri_engine::timers::retention;
use snorri_engine::{Engine, Options, Parts, Running, StartError, StartRequest, SubmitError};
use snorri_ports::broker::{
    Broker, Delivery, Handler, HeaderValue, Properties, Publication, Published, QueueDeclaration, Topology,
    Verdict,
};
use snorri_ports::clock::{Clock, SystemClock};
use snorri_ports::store::{Appended, AuditFilter, Batch, Filter, LetterFilter, Store};
use snorri_wire::envelope::{Key, Keyring, SECRET_BYTES, Wire};
use snorri_wire::topology::{Names, own_topology, reply_topology};
use testkit::MemoryStore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

const ORDER: &str = include_str!("../sagas/order.yaml");

async fn engine(store: &Arc<dyn Store>) -> (Arc<Engine>, Running) {
    engine_with(store, &options()).await
}

async fn engine_with(store: &Arc<dyn Store>, options: &Options) -> (Arc<Engine>, Running) {
    engine_at(store, options, Arc::new(SystemClock)).await
}

async fn engine_at(
    store: &Arc<dyn Store>,
    options: &Options,
    clock: Arc<dyn Clock>,
) -> (Arc<Engine>, Running) {
    engine_of(store, options, clock, Arc::new(Metrics::new(&mut Registry::default()))).await
}

async fn engine_of(
    store: &Arc<dyn Store>,
    options: &Options,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> (Arc<Engine>, Running) {
    let definitions = Arc::new(Definitions::new(Arc::clone(store)));
    definitions.register("order.yaml", ORDER, Time(0)).await.expect("registered");
    let broker = LocalBroker::new(local::Options::default());
    let exchange = "shop.commands".to_owned();
    let bindings = vec![(exchange.clone(), "#".to_owned())];
    let participants = QueueDeclaration { name: "participants".to_owned(), bindings, dead_letters: None };
    let topology = Topology { exchanges: vec![exchange], queues: vec![participants] };
    broker.declare(&topology).await.expect("declared");
    let parts = Parts {
        store: Arc::clone(store),
        reader: Arc::clone(store),
        broker: Arc::new(broker),
        clock,
        definitions,
        metrics,
        wire: wire(),
        process: Uuid::now_v7(),
    };
    Engine::spawn(&parts, options)
}

fn wire() -> Wire {
    Wire::new(Names::new("snorri"), Keyring::new(Key::new(&[7; SECRET_BYTES]).into()))
}

fn options() -> Options {
    let some = |number| NonZeroUsize::new(number).expect("some");
    Options {
        workers: some(2),
        queue_capacity: some(100),
        batch_limit: some(100),
        commit_delay: Duration::from_millis(2),
        state_cache_size: some(100),
        timer_interval: Duration::from_secs(3_600),
        timer_lease: Duration::from_secs(3_600),
        outbox_lease: Duration::from_secs(3_600),
        max_unanswered: some(10_000),
        max_unsent: NonZeroU32::new(10_000).expect("some"),
        outbox_poll_interval: Duration::from_secs(3_600),
        poll_batch_size: NonZeroU32::new(100).expect("some"),
        prefetch: 100,
        message_timeout: Duration::from_secs(60),
        own_reply_queue: false,
        buffered_events: event_buffer::Options {
            retention_period: Duration::from_secs(600),
            max_events: 1_000,
        },
        retention: retention::Options {
            retention_period: retention::Keep::FOREVER,
            dead_letters: retention::Keep::FOREVER,
            resolved_dead_letters: retention::Keep::FOREVER,
            max_dead_letters: 1_000,
            definitions: BTreeMap::new(),
            archive: None,
            interval: Duration::from_secs(3_600),
        },
    }
}

fn start(order: &str) -> StartRequest {
    StartRequest {
        definition: "order".to_owned(),
        input: json!({"orderId": order, "amount": 1}),
        ..StartRequest::default()
    }
}

fn success(step: &str) -> Input {
    let attempt = Attempt { step: StepPath::new(step), direction: Direction::Forward, number: 1 };
    let output = json!({"reservationId": 1, "paymentId": 2, "trackingId": 3});
    Input::Reply(Reply { attempt, result: ReplyResult::Success(Arc::new(output)) })
}

/// The handler of one of Snorri's own queues.
fn handler(queue: &str, engine: &Engine, options: &Options) -> Handler {
    Arc::new(Intake::new(engine)).handler(&format!("snorri.{queue}"), options)
}

/// The codes of the dead letters, newest first.
async fn codes(store: &Arc<dyn Store>) -> Vec<String> {
    let letters = store.dead_letters(&LetterFilter::default(), 1_000).await.expect("dead letters");
    letters.into_iter().map(|letter| letter.code).collect()
}

async fn status(engine: &Engine, id: SagaId) -> Status {
    engine.queries.view(id).await.expect("the store answers").expect("a saga").status()
}

#[tokio::test]
async fn a_reply_is_not_ignored_because_another_engine_sent_the_command() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let ((one, one_running), (other, other_running)) = (engine(&store).await, engine(&store).await);
    let id = one.starter.start(start("o-1")).await.expect("started").id;
    // `one` has cached the saga as it was before `other` continued it.
    other.submitter.submit(id, success("reserve")).await.expect("accepted");
    one.submitter
        .submit(id, success("charge"))
        .await
        .expect("accepted, though nothing was known of the command");
    other.submitter.submit(id, success("ship")).await.expect("accepted");
    assert_eq!(status(&one, id).await, Status::Completed);

    let repeated = one.submitter.submit(id, success("ship")).await;
    assert_eq!(repeated, Err(SubmitError::Rejected(Rejection::Duplicate)));
    one_running.shut_down().await;
    other_running.shut_down().await;
}

#[tokio::test]
async fn a_forward_command_expires_with_its_attempt_and_a_compensation_never() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (engine, running) = engine(&store).await;
    let sent = commands(&engine).await;
    let id = engine.starter.start(start("o-1")).await.expect("started").id;
    engine.submitter.submit(id, success("reserve")).await.expect("accepted");
    let attempt = Attempt { step: StepPath::new("charge"), direction: Direction::Forward, number: 1 };
    let refused = ReplyResult::Failure(Problem::of_participant("declined", ""));
    engine.submitter.submit(id, Input::Reply(Reply { attempt, result: refused })).await.expect("accepted");
    early::until("three commands", async || sent.lock().expect("a lock").len() == 3).await;
    for command in sent.lock().expect("a lock").iter() {
        match (command.routing_key.as_str(), command.properties.expiration) {
            ("inventory.reserve" | "payment.charge", Some(left)) => {
                assert!(!left.is_zero() && left <= Duration::from_secs(10), "{command:?}");
            }
            ("inventory.release", None) => {}
            other => panic!("{other:?}"),
        }
    }
    running.shut_down().await;
}

/// Collects the commands that participants get from now on.
async fn commands(engine: &Engine) -> Arc<Mutex<Vec<Delivery>>> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&sent);
    let handler = tower::service_fn(move |delivery: Delivery| {
        taken.lock().expect("a lock").push(delivery);
        std::future::ready(Ok::<_, tower::BoxError>(Verdict::Ack))
    });
    let broker = Arc::clone(&engine.parts.broker);
    tokio::spawn(async move {
        let handler = tower::util::BoxCloneSyncService::new(handler);
        broker.consume("participants", 10, handler, CancellationToken::new()).await;
    });
    sent
}

#[tokio::test]
async fn engines_that_race_for_a_saga_agree() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let ((one, one_running), (other, other_running)) = (engine(&store).await, engine(&store).await);
    let starts = (0..200).map(|number| {
        let engine = if number % 2 == 0 { &one } else { &other };
        engine.starter.start(start(&format!("o-{}", number / 20)))
    });
    let started = futures_util::future::join_all(starts).await;
    let new = started.iter().filter(|started| started.as_ref().expect("an answer").is_new).count();
    assert_eq!(new, 10, "one saga for each of ten keys");

    for step in ["reserve", "charge", "ship"] {
        let replies = (0..10).flat_map(|number| {
            let id = SagaId::of_key("order", &format!("o-{number}"));
            [&one, &other, &one].map(|engine| engine.submitter.submit(id, success(step)))
        });
        let accepted = futures_util::future::join_all(replies).await;
        assert_eq!(accepted.iter().filter(|result| result.is_ok()).count(), 10, "each reply once, of {step}");
    }
    for number in 0..10 {
        let view = one
            .queries
            .view(SagaId::of_key("order", &format!("o-{number}")))
            .await
            .expect("the store answers");
        let view = view.expect("a saga");
        assert_eq!((view.status(), view.journal.len()), (Status::Completed, 4));
        let output = view.state.ended.and_then(|end| end.output).as_deref().cloned();
        assert_eq!(output, Some(json!({"trackingId": 3})));
    }
    one_running.shut_down().await;
    other_running.shut_down().await;
}

/// Two sagas of one lane and one batch, of which one cannot be read.
#[tokio::test]
async fn a_saga_that_cannot_be_read_is_set_aside_alone() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (spoiled, sound) = {
        let (engine, running) = engine(&store).await;
        let spoiled = engine.starter.start(start("o-1")).await.expect("started").id;
        let sound = engine.starter.start(start("o-2")).await.expect("started").id;
        running.shut_down().await;
        (spoiled, sound)
    };
    let gap = Entry { at: Time(0), cause: Cause::TimerFired, facts: Vec::new() };
    let entries = vec![Appended { saga: spoiled, started_at: Time(0), seq: 9, entry: gap }];
    store.commit(Batch { entries, ..Batch::default() }).await.expect("a commit");

    let (engine, running) = engine(&store).await;
    let (first, second) = tokio::join!(
        engine.submitter.submit(spoiled, success("reserve")),
        engine.submitter.submit(sound, success("reserve"))
    );
    assert!(matches!(first, Err(SubmitError::Unreadable(_))), "{first:?}");
    second.expect("accepted");
    let again = engine.starter.start(start("o-1")).await;
    assert!(matches!(again, Err(StartError::Unreadable(_))), "{again:?}");
    running.shut_down().await;
}

/// Gives one delivery to an intake, and returns its verdict.
async fn give(handler: Handler, delivery: Delivery) -> Verdict {
    handler.oneshot(delivery).await.expect("a verdict")
}

fn event(name: &str, body: &serde_json::Value) -> Delivery {
    Delivery {
        exchange: "shop.events".to_owned(),
        routing_key: name.to_owned(),
        body: body.to_string().into_bytes(),
        ..Delivery::default()
    }
}

const NIGHTLY: &str = r#"
saga: nightly
version: 1
start:
  - schedule: "0 3 * * *"
    input: { day: "${ schedule.time }" }
steps:
  - name: done
    wait: { signal: go }
    timeout: 1h
"#;

/// However often it was due, and however many processes there are.
#[tokio::test]
async fn a_missed_schedule_runs_once() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let mut running = Vec::new();
    for _ in 0..2 {
        let (engine, tasks) = engine(&store).await;
        engine.definitions.register("nightly.yaml", NIGHTLY, Time(0)).await.expect("registered");
        running.push((engine, tasks));
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let sagas = store.sagas(&Filter::default(), 10).await.expect("sagas");
    assert_eq!(sagas.len(), 1, "{sagas:?}");
    let ran = store.schedules().await.expect("schedules");
    assert_eq!(ran.len(), 1, "{ran:?}");
    let view = running[0].0.queries.view(sagas[0].id).await.expect("the store answers").expect("a saga");
    let day = &view.state.started.expect("started").input["day"];
    assert_eq!(Time::from_rfc3339(day.as_str().expect("a time")), Some(ran[0].at));
    for (_, tasks) in running {
        tasks.shut_down().await;
    }
}

const STRICT: &str = r#"
saga: strict
version: 1
steps:
  - name: reserve
    command: inventory.reserve
    exchange: shop.commands
    timeout: 1h
    reply: { type: object, required: [reservationId] }
    compensate: none
"#;

#[tokio::test]
async fn what_one_engine_registers_or_retires_counts_for_the_others() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let ((one, one_running), (other, other_running)) = (engine(&store).await, engine(&store).await);
    let by = By { actor: "ann".to_owned(), reason: "a test".to_owned() };
    one.admission.register("strict.yaml", STRICT, &BTreeMap::new(), &by).await.expect("registered");
    let request = |order| StartRequest { definition: "strict".to_owned(), ..start(order) };
    other.starter.start(request("o-1")).await.expect("found");

    assert!(
        one.definitions.set_active("strict", 1, false, &by, one.parts.clock.now()).await.expect("retired")
    );
    other.definitions.refresh().await.expect("refreshed");
    for engine in [&one, &other] {
        let refused = engine.starter.start(request("o-2")).await;
        assert!(matches!(refused, Err(StartError::Inactive(_))), "{refused:?}");
    }
    let audit = store.audit(&AuditFilter::default(), 10).await.expect("the audit");
    let actions: Vec<_> = audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["deactivate_definition", "register_definition"]);
    one_running.shut_down().await;
    other_running.shut_down().await;
}
