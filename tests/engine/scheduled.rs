//! Schedules, on a clock that the test sets.

use std::io::Write;
use std::sync::Mutex;

use snorri_engine::timers::schedules::Scheduler;
use snorri_ports::store::StoredDefinition;
use tracing_subscriber::fmt::MakeWriter;

use super::early::TestClock;
use super::*;

/// Case 08: two schedules of one definition have the same cron expression.
const DIGEST: &str = r#"
saga: digest
version: 1
start:
  - schedule: "* * * * *"
    input: { region: eu, day: "${ schedule.time }" }
  - schedule: "* * * * *"
    input: { region: us, day: "${ schedule.time }" }
steps:
  - { name: done, wait: { signal: go }, timeout: 1h }
"#;

/// The log of a test's thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects the log of this thread as long as the guard lives.
    fn install() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn count(&self, text: &str) -> usize {
        let bytes = self.0.lock().expect("unpoisoned");
        String::from_utf8_lossy(&bytes).lines().filter(|line| line.contains(text)).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("unpoisoned").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

struct Shop {
    engine: Arc<Engine>,
    running: Running,
    store: Arc<dyn Store>,
    clock: Arc<TestClock>,
    scheduler: Scheduler,
}

impl Shop {
    async fn new(now: &str, source: &str) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let clock = TestClock::at(now);
        let (engine, running) = engine_at(&store, &options(), clock.clone()).await;
        let (starter, definitions) = (Arc::clone(&engine.starter), Arc::clone(&engine.definitions));
        let scheduler = Scheduler::new(starter, definitions, Arc::clone(&store), clock.clone());
        let shop = Self { engine, running, store, clock, scheduler };
        shop.register(source).await;
        shop
    }

    /// Stores a definition as an earlier release may have done, without the checks of this one.
    async fn register(&self, source: &str) {
        let compiled = snorri_definition::compile("source.yaml", source).expect("a definition");
        let stored = StoredDefinition {
            name: compiled.definition.name.to_string(),
            version: compiled.definition.version,
            digest: compiled.digest,
            source: source.to_owned(),
            files: BTreeMap::new(),
            registered_at: self.clock.now(),
            active: true,
        };
        self.store.register(&stored, None).await.expect("registered");
        self.engine.definitions.load().await.expect("loaded");
    }

    /// Runs the schedules that are due at a time.
    async fn run(&mut self, now: &str) {
        self.clock.set(now);
        self.scheduler.run_due().await.expect("the store answers");
    }

    /// The inputs of all sagas, in order.
    async fn inputs(&self) -> Vec<String> {
        let mut inputs = Vec::new();
        for saga in self.store.sagas(&Filter::default(), 100).await.expect("sagas") {
            let view = self.engine.queries.view(saga.id).await.expect("the store answers").expect("a saga");
            inputs.push(view.state.started.expect("started").input.to_string());
        }
        inputs.sort();
        inputs
    }

    async fn runs(&self) -> Vec<(String, String)> {
        let runs = self.store.schedules().await.expect("schedules");
        runs.into_iter().map(|run| (run.schedule, run.at.to_rfc3339())).collect()
    }
}

#[tokio::test]
async fn two_schedules_with_the_same_cron_expression_both_run() {
    let mut shop = Shop::new("2026-11-21T10:00:30Z", DIGEST).await;
    shop.run("2026-11-21T10:01:02Z").await;
    let run =
        |region: &str, minute: u32| format!(r#"{{"day":"2026-11-21T10:0{minute}:00Z","region":"{region}"}}"#);
    assert_eq!(shop.inputs().await, [run("eu", 1), run("us", 1)]);
    shop.run("2026-11-21T10:01:40Z").await;
    assert_eq!(shop.inputs().await.len(), 2, "each once");
    shop.run("2026-11-21T10:02:00Z").await;
    assert_eq!(shop.inputs().await, [run("eu", 1), run("us", 1), run("eu", 2), run("us", 2)]);
    shop.running.shut_down().await;
}

/// A version that adds a schedule, or removes it again, repeats no run of the others.
#[tokio::test]
async fn a_schedule_stays_the_same_from_version_to_version() {
    let one = DIGEST
        .replace("  - schedule: \"* * * * *\"\n    input: { region: us, day: \"${ schedule.time }\" }\n", "");
    let mut shop = Shop::new("2026-11-21T10:00:30Z", &one).await;
    shop.run("2026-11-21T10:01:02Z").await;
    let cron = "* * * * *".to_owned();
    assert_eq!(shop.runs().await, [(cron, "2026-11-21T10:01:00.000Z".to_owned())], "as in earlier releases");

    shop.register(&DIGEST.replace("version: 1", "version: 2")).await;
    shop.run("2026-11-21T10:01:40Z").await;
    assert_eq!(shop.inputs().await.len(), 1, "nothing is due again");
    shop.run("2026-11-21T10:02:10Z").await;
    assert_eq!(shop.inputs().await.len(), 3);
    shop.register(&one.replace("version: 1", "version: 3")).await;
    shop.run("2026-11-21T10:02:40Z").await;
    assert_eq!(shop.inputs().await.len(), 3, "nothing is due again");
    shop.run("2026-11-21T10:03:00Z").await;
    assert_eq!(shop.inputs().await.len(), 4);
    shop.running.shut_down().await;
}

/// Case 14: a process whose clock was 400 days ahead ran a schedule.
#[tokio::test]
async fn a_last_run_in_the_future_is_ignored_and_logged() {
    let (log, _guard) = Log::install();
    let mut shop = Shop::new("2026-11-21T10:00:30Z", NIGHTLY).await;
    let ahead = Time::from_rfc3339("2027-12-26T03:00:00Z").expect("a time");
    shop.store.schedule_ran("nightly", "0 3 * * *", ahead, ahead).await.expect("noted");
    shop.run("2026-11-22T02:59:59Z").await;
    assert_eq!(shop.inputs().await, [""; 0]);
    shop.run("2026-11-22T03:00:01Z").await;
    assert_eq!(shop.inputs().await, [r#"{"day":"2026-11-22T03:00:00Z"}"#]);
    assert_eq!(shop.runs().await, [("0 3 * * *".to_owned(), "2026-11-22T03:00:00.000Z".to_owned())]);
    assert!(log.count("is in the future and is ignored") >= 1);
    shop.running.shut_down().await;
}

#[tokio::test]
async fn a_schedule_whose_key_never_changes_is_logged_once() {
    let (log, _guard) = Log::install();
    let fixed = NIGHTLY
        .replace("version: 1\n", "version: 1\nkey: ${ input.region }\n")
        .replace("{ day:", "{ region: eu, day:");
    let mut shop = Shop::new("2026-11-21T10:00:30Z", &fixed).await;
    let logged = || log.count("because an earlier saga has its business key");
    shop.run("2026-11-22T03:00:01Z").await;
    shop.run("2026-11-22T03:00:02Z").await;
    assert_eq!(logged(), 0);
    for day in 23..26 {
        shop.run(&format!("2026-11-{day}T03:00:01Z")).await;
    }
    assert!((1..=2).contains(&logged()), "once by the engine, once by the test: {}", logged());
    assert_eq!(shop.inputs().await.len(), 1);
    shop.running.shut_down().await;
}

#[tokio::test]
async fn a_schedule_whose_date_never_comes_is_logged_once() {
    let (log, _guard) = Log::install();
    // The checks may refuse such a date; one that was registered before must not be silent.
    let never = NIGHTLY.replace("0 3 * * *", "0 0 30 2 *");
    let mut shop = Shop::new("2026-11-21T10:00:30Z", &never).await;
    for minute in 1..5 {
        shop.run(&format!("2026-11-21T10:0{minute}:30Z")).await;
    }
    let logged = log.count("the date of a schedule never comes");
    assert!((1..=2).contains(&logged), "once by the engine, once by the test: {logged}");
    shop.running.shut_down().await;
}
