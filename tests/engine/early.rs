//! Events and signals that arrive before their saga.

use std::sync::Mutex;

use serde_json::Value;
use snorri_engine::metrics::Metrics;

use super::*;

/// A clock that a test sets.
#[derive(Debug)]
pub(crate) struct TestClock(Mutex<Time>);

impl TestClock {
    pub(crate) fn at(time: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Time::from_rfc3339(time).expect("a time"))))
    }

    pub(crate) fn set(&self, time: &str) {
        *self.0.lock().expect("unpoisoned") = Time::from_rfc3339(time).expect("a time");
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.0.lock().expect("unpoisoned");
        *now = now.after(by);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        *self.0.lock().expect("unpoisoned")
    }
}

const SHIPMENT: &str = r#"
saga: shipment
version: 1
key: ${ input.order }
steps:
  - name: paid
    wait: { event: order.paid, exchange: shop.events, correlate: "${ event.order }" }
    timeout: 1h
  - name: approval
    wait: { signal: go }
    timeout: 1h
    on_timeout: continue
output: { paid: "${ paid.output }", approval: "${ approval.output }" }
"#;

fn frequent() -> Options {
    Options { outbox_poll_interval: Duration::from_millis(10), ..options() }
}

async fn shop(options: &Options, clock: Arc<dyn Clock>) -> (Arc<Engine>, Running, Arc<dyn Store>) {
    shop_on(Arc::new(MemoryStore::default()), options, clock).await
}

async fn shop_on(
    store: Arc<dyn Store>,
    options: &Options,
    clock: Arc<dyn Clock>,
) -> (Arc<Engine>, Running, Arc<dyn Store>) {
    let (engine, running) = engine_at(&store, options, clock).await;
    engine.definitions.register("shipment.yaml", SHIPMENT, Time(0)).await.expect("registered");
    (engine, running, store)
}

fn shipment(order: &str) -> StartRequest {
    let input = json!({"order": order});
    StartRequest { definition: "shipment".to_owned(), input, ..StartRequest::default() }
}

fn paid(order: &str, id: Option<&str>) -> Delivery {
    let mut delivery = event("order.paid", &json!({"order": order}));
    delivery.properties.message_id = id.map(str::to_owned);
    delivery
}

fn signal(headers: &[(&str, &str)], body: &[u8]) -> Delivery {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), HeaderValue::Text((*value).to_owned())))
        .collect();
    let properties = Properties { kind: Some("go".to_owned()), headers, ..Properties::default() };
    Delivery { properties, body: body.to_vec(), ..Delivery::default() }
}

fn go(order: &str, body: &[u8]) -> Delivery {
    signal(&[("snorri-definition", "shipment"), ("snorri-key", order)], body)
}

async fn output(engine: &Engine, id: SagaId) -> Option<Value> {
    let view = engine.queries.view(id).await.expect("the store answers").expect("a saga");
    view.state.ended.and_then(|end| end.output).as_deref().cloned()
}

async fn buffered(store: &Arc<dyn Store>, id: SagaId) -> usize {
    store.buffered_events(id, 1_000).await.expect("events").len()
}

pub(crate) async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !is_true().await {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_event_and_a_signal_wait_for_their_saga() {
    let options = options();
    let (engine, running, store) = shop(&options, Arc::new(SystemClock)).await;
    let id = SagaId::of_key("shipment", "o-1");
    for _ in 0..2 {
        let event = give(handler("events", &engine, &options), paid("o-1", Some("m-1"))).await;
        assert_eq!(event, Verdict::Ack);
    }
    let came = give(handler("signals", &engine, &options), go("o-1", br#"{"by": "ann"}"#)).await;
    assert_eq!(came, Verdict::Ack);
    assert_eq!(buffered(&store, id).await, 2, "the repeated event is there once");

    engine.starter.start(shipment("o-1")).await.expect("started");
    assert_eq!(status(&engine, id).await, Status::Completed);
    let expected = json!({"paid": {"order": "o-1"}, "approval": {"by": "ann"}});
    assert_eq!(output(&engine, id).await, Some(expected));
    assert_eq!(buffered(&store, id).await, 0);
    assert!(codes(&store).await.is_empty());
    running.shut_down().await;
}

/// Starts and events race through three engines: each pair finds together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_lost_between_the_reads_of_two_engines() {
    let options = options();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let mut engines = Vec::new();
    for _ in 0..3 {
        let (engine, running) = engine_with(&store, &options).await;
        engine.definitions.register("shipment.yaml", SHIPMENT, Time(0)).await.expect("registered");
        engines.push((engine, running));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..300 {
        let order = format!("o-{number}");
        let (starting, receiving) =
            (Arc::clone(&engines[number % 3].0), Arc::clone(&engines[(number + 1) % 3].0));
        let handler = handler("events", &receiving, &options);
        let event = paid(&order, None);
        tasks.spawn(async move { drop(starting.starter.start(shipment(&order)).await.expect("started")) });
        tasks.spawn(async move { assert_eq!(give(handler, event).await, Verdict::Ack) });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("done");
    }
    for number in 0..300 {
        let id = SagaId::of_key("shipment", &format!("o-{number}"));
        let view = engines[0].0.queries.view(id).await.expect("the store answers").expect("a saga");
        let step = view.state.step(&StepPath::new("paid")).and_then(|step| step.output()).cloned();
        assert_eq!(step, Some(json!({"order": format!("o-{number}")})), "o-{number}");
        assert_eq!(buffered(&store, id).await, 0);
    }
    for (_, running) in engines {
        running.shut_down().await;
    }
}

/// Makes the rows of a saga unreadable as soon as an event is buffered for it.
#[derive(Debug)]
struct PoisonsOnceBuffered(Arc<testkit::Poisoned>, SagaId);

impl testkit::Observer for PoisonsOnceBuffered {
    fn called(&self, call: &testkit::Call<'_>, _: testkit::Fault) {
        if call.method == "buffer_event" {
            self.0.insert(self.1);
        }
    }
}

/// Another copy of the event may have been acknowledged because it is buffered.
#[tokio::test]
async fn an_event_stays_buffered_while_its_saga_cannot_be_read() {
    let id = SagaId::of_key("shipment", "o-1");
    let (store, poisoned): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::default()), Arc::default());
    let observer = Arc::new(PoisonsOnceBuffered(Arc::clone(&poisoned), id));
    let process = testkit::Process::new("engine", Arc::new(testkit::NoFaults), observer);
    let faulty: Arc<dyn Store> =
        Arc::new(testkit::FaultyStore::new(Arc::clone(&store), process, Arc::clone(&poisoned)));
    let options = frequent();
    let (engine, running, _) = shop_on(faulty, &options, Arc::new(SystemClock)).await;
    let event = give(handler("events", &engine, &options), paid("o-1", Some("m-1"))).await;
    assert_eq!((event, buffered(&store, id).await), (Verdict::Ack, 1));

    poisoned.clear();
    engine.starter.start(shipment("o-1")).await.expect("started");
    until("it is delivered", async || buffered(&store, id).await == 0).await;
    let view = engine.queries.view(id).await.expect("the store answers").expect("a saga");
    assert_eq!(
        view.state.step(&StepPath::new("paid")).and_then(|step| step.output()),
        Some(&json!({"order": "o-1"}))
    );
    running.shut_down().await;
}

/// As after a crash between the start of the saga and the delivery of its buffered events.
#[tokio::test]
async fn the_sweep_delivers_what_a_crash_has_left() {
    let options = frequent();
    let (engine, running, store) = shop(&options, Arc::new(SystemClock)).await;
    let id = SagaId::of_key("shipment", "o-1");
    engine.starter.start(shipment("o-1")).await.expect("started");
    let left = snorri_ports::store::BufferedEvent {
        id: uuid::Uuid::now_v7(),
        saga: id,
        identity: uuid::Uuid::now_v7(),
        at: engine.parts.clock.now(),
        expires_at: engine.parts.clock.now().after(Duration::from_secs(600)),
        queue: "snorri.signals".to_owned(),
        matched: false,
        arrival: ReceivedEvent::new(EventSource::Signal("go".into()), Some("m-1".to_owned()), Value::Null),
    };
    let limits = snorri_ports::store::BufferLimits { per_saga: 100, total: 100 };
    store.buffer_event(&left, limits).await.expect("buffered");
    until("it is delivered", async || buffered(&store, id).await == 0).await;
    let view = engine.queries.view(id).await.expect("the store answers").expect("a saga");
    assert_eq!(view.state.arrivals.len(), 1);
    running.shut_down().await;
}

#[tokio::test]
async fn what_waits_too_long_becomes_a_dead_letter() {
    let clock = TestClock::at("2026-11-21T10:00:00Z");
    let options = frequent();
    let (engine, running, store) = shop(&options, clock.clone()).await;
    let id = SagaId::of_key("shipment", "o-1");
    for delivery in [paid("o-1", Some("m-1")), paid("o-1", None)] {
        assert_eq!(give(handler("events", &engine, &options), delivery).await, Verdict::Ack);
    }
    assert_eq!(give(handler("signals", &engine, &options), go("o-1", b"")).await, Verdict::Ack);
    clock.advance(Duration::from_secs(599));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((buffered(&store, id).await, codes(&store).await.len()), (3, 0));

    clock.advance(Duration::from_secs(1));
    until("all expire", async || buffered(&store, id).await == 0).await;
    assert_eq!(codes(&store).await, ["saga_not_started"; 3]);
    let letters = store.dead_letters(&LetterFilter::default(), 10).await.expect("dead letters");
    let of_event = letters.iter().find(|letter| letter.queue == "snorri.events").expect("an event");
    assert_eq!(of_event.properties["headers"]["snorri-routing-key"], "order.paid");
    assert_eq!(of_event.saga, Some(id));
    let of_signal = letters.iter().find(|letter| letter.queue == "snorri.signals").expect("a signal");
    assert_eq!((of_signal.body.as_slice(), &of_signal.properties["type"]), (&b"{}"[..], &json!("go")));
    running.shut_down().await;
}

#[tokio::test]
async fn the_buffer_of_a_saga_and_of_all_is_bounded() {
    let bounds = event_buffer::Options { max_events: 102, ..options().buffered_events };
    let options = Options { buffered_events: bounds, ..options() };
    let (engine, running, store) = shop(&options, Arc::new(SystemClock)).await;
    let send = async |order: &str, number: usize| {
        let id = format!("m-{number}");
        give(handler("events", &engine, &options), paid(order, Some(&id))).await
    };
    for number in 0..100 {
        assert_eq!(send("o-1", number).await, Verdict::Ack, "{number}");
    }
    assert_eq!(send("o-1", 100).await, Verdict::Ack);
    assert_eq!(codes(&store).await, ["buffer_full"]);
    assert_eq!(send("o-1", 99).await, Verdict::Ack, "a repetition needs no room");
    assert_eq!(send("o-2", 0).await, Verdict::Ack);
    assert_eq!(send("o-3", 0).await, Verdict::Ack);
    assert_eq!(send("o-4", 0).await, Verdict::Ack);
    assert_eq!(codes(&store).await, ["buffer_full"; 2], "102 in all");
    engine.starter.start(shipment("o-1")).await.expect("started");
    assert_eq!(buffered(&store, SagaId::of_key("shipment", "o-1")).await, 0);
    assert_eq!(send("o-4", 0).await, Verdict::Ack, "there is room again");
    running.shut_down().await;
}

#[tokio::test]
async fn only_what_some_saga_may_wait_for_is_buffered() {
    let options = options();
    let (engine, running, store) = shop(&options, Arc::new(SystemClock)).await;
    let signals = |delivery| give(handler("signals", &engine, &options), delivery);
    let unknown = signal(&[("snorri-definition", "nothing"), ("snorri-key", "o-1")], b"");
    assert_eq!(signals(unknown).await, Verdict::Ack);
    assert_eq!(codes(&store).await, ["unknown_saga"], "there is no such definition");
    let keyless = signal(&[("snorri-definition", "order"), ("snorri-key", "o-1")], b"");
    assert_eq!(signals(keyless).await, Verdict::Ack);
    assert_eq!(codes(&store).await, ["unknown_saga"; 2], "no step of it waits for that");
    let id = SagaId(uuid::Uuid::now_v7());
    assert_eq!(signals(signal(&[("snorri-saga", &id.to_string())], b"")).await, Verdict::Ack);
    assert_eq!(buffered(&store, id).await, 1, "of an id nothing is known");

    let by = By { actor: "ann".to_owned(), reason: "a test".to_owned() };
    let retired = engine.definitions.set_active("shipment", 1, false, &by, engine.parts.clock.now()).await;
    assert!(retired.expect("retired"));
    assert_eq!(signals(go("o-1", b"")).await, Verdict::Ack);
    assert_eq!(codes(&store).await, ["unknown_saga"; 3], "no saga of it starts any more");
    let verdict = give(handler("events", &engine, &options), paid("o-1", None)).await;
    assert_eq!(verdict, Verdict::Ack);
    assert_eq!(buffered(&store, SagaId::of_key("shipment", "o-1")).await, 0);
    running.shut_down().await;
}

/// An event is about a saga of one of two definitions: that it is about none of the other is not an error.
#[tokio::test]
async fn an_event_that_one_saga_accepted_expires_without_a_dead_letter() {
    let clock = TestClock::at("2026-11-21T10:00:00Z");
    let options = frequent();
    let (engine, running, store) = shop(&options, clock.clone()).await;
    let other = SHIPMENT.replace("saga: shipment", "saga: pickup");
    engine.definitions.register("pickup.yaml", &other, Time(0)).await.expect("registered");
    engine.starter.start(shipment("o-1")).await.expect("started");
    let verdict = give(handler("events", &engine, &options), paid("o-1", Some("m-1"))).await;
    assert_eq!(verdict, Verdict::Ack);
    let pickup = SagaId::of_key("pickup", "o-1");
    assert_eq!(buffered(&store, pickup).await, 1);
    clock.advance(Duration::from_secs(600));
    until("it expires", async || buffered(&store, pickup).await == 0).await;
    assert!(codes(&store).await.is_empty());
    running.shut_down().await;
}

#[tokio::test]
async fn unmatched_events_are_counted_by_exchange_and_name() {
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let bounds = event_buffer::Options { max_events: 0, ..options().buffered_events };
    let options = Options { buffered_events: bounds, ..options() };
    let (engine, running) = engine_of(&store, &options, Arc::new(SystemClock), metrics).await;
    engine.definitions.register("shipment.yaml", SHIPMENT, Time(0)).await.expect("registered");
    let events = |delivery| give(handler("events", &engine, &options), delivery);
    assert_eq!(events(paid("o-1", None)).await, Verdict::Ack);
    assert_eq!(codes(&store).await, ["buffer_full"]);
    assert_eq!(events(event("order.paid", &json!({"no": "key"}))).await, Verdict::Ack);
    assert_eq!(events(event("order.unheard", &json!({}))).await, Verdict::Ack);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    let line = r#"snorri_unmatched_events_total{exchange="shop.events",event="order.paid"} 2"#;
    assert!(text.contains(line), "{text}");
    let other = r#"snorri_unmatched_events_total{exchange="other",event="other"} 1"#;
    assert!(text.contains(other), "{text}");
    running.shut_down().await;
}

/// A signal without a body differs from a wait that ended without one.
#[tokio::test]
async fn a_signal_that_carries_nothing_is_an_empty_object() {
    for (body, expected) in [(Some(&b""[..]), json!({})), (Some(b"null"), json!({})), (None, json!(null))] {
        let clock = TestClock::at("2026-11-21T10:00:00Z");
        let options = Options { timer_interval: Duration::from_millis(10), ..options() };
        let (engine, running, _) = shop(&options, clock.clone()).await;
        let id = engine.starter.start(shipment("o-1")).await.expect("started").id;
        assert_eq!(give(handler("events", &engine, &options), paid("o-1", None)).await, Verdict::Ack);
        match body {
            Some(body) => {
                let verdict = give(handler("signals", &engine, &options), go("o-1", body)).await;
                assert_eq!(verdict, Verdict::Ack);
            }
            None => clock.advance(Duration::from_secs(3_600)),
        }
        until("the saga ends", async || output(&engine, id).await.is_some()).await;
        assert_eq!(output(&engine, id).await.expect("an output")["approval"], expected, "{body:?}");
        running.shut_down().await;
    }
}
