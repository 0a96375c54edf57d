//! The cost of many waiters, watchers and unknown names for the database: no more than that of one.

use futures_util::StreamExt;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

use crate::support::Services;
use crate::support::logged::Logged;
use crate::support::orchestrator::Orchestrator;
use crate::*;

/// Waiters or watchers at once.
const MANY: usize = 200;
/// Most statements a second of a process itself: timers, health, the feed. The statistics of the database may lag, so that some
/// earlier ones are counted with them.
const OWN_RATE: i64 = 200;
/// Starts of unknown definitions.
const STARTS: usize = 1_000;

struct Place {
    process: Orchestrator,
    statistics: DatabaseConnection,
    saga: String,
    _logged: Logged,
}

impl Place {
    /// A process with a saga whose first command waits for a route.
    async fn new() -> Self {
        let services = Services::from_env();
        let database = services.database().await;
        let logged = Logged::new(&services.amqp_url, &database);
        let process = logged.plan.start().await;
        let statistics = Database::connect(&database).await.expect("PostgreSQL answers");
        let saga = process.api.start("order", &order("o-1")).await;
        process.api.wait_for(&saga, &["stuck"]).await;
        Self { process, statistics, saga, _logged: logged }
    }

    /// The number of transactions that the database has committed, as of about a second ago.
    async fn commits(&self) -> i64 {
        let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let row = self.statistics.query_one_raw(statement).await.expect("an answer").expect("a row");
        row.try_get("", "xact_commit").expect("a number")
    }

    /// Statements a second, while the current load continues for some seconds.
    async fn rate(&self) -> i64 {
        const SECONDS: u64 = 5;
        // Earlier statements are counted before.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = self.commits().await;
        tokio::time::sleep(Duration::from_secs(SECONDS)).await;
        (self.commits().await - before) / i64::try_from(SECONDS).expect("few")
    }
}

#[tokio::test]
async fn waiting_and_watching_do_not_poll_the_database() {
    let place = Place::new().await;
    let api = &place.process.api;
    let wait = format!("/v1/sagas/{}/wait?timeout=30", place.saga);
    let waiters: Vec<_> = (0..MANY)
        .map(|_| {
            let (api, path) = (api.clone(), wait.clone());
            tokio::spawn(async move { api.get(&path).await })
        })
        .collect();
    let rate = place.rate().await;
    assert!(rate < OWN_RATE, "{MANY} waiters: {rate} statements a second");

    let events = format!("/v1/sagas/{}/events", place.saga);
    let mut watchers = Vec::new();
    for _ in 0..MANY {
        watchers.push(api.stream(&events).await);
    }
    let rate = place.rate().await;
    assert!(rate < OWN_RATE, "{MANY} watchers: {rate} statements a second");

    let by = json!({"actor": "ann", "reason": "a test"});
    let asked = Instant::now();
    assert_eq!(api.post(&format!("/v1/sagas/{}/abandon", place.saga), &by).await.0, 200);
    for waiter in waiters {
        let (status, saga) = waiter.await.expect("no panic");
        assert_eq!((status, &saga["status"]), (200, &json!("abandoned")), "{saga}");
    }
    for mut watcher in watchers {
        let mut text = String::new();
        while let Some(chunk) = watcher.next().await {
            text.push_str(&String::from_utf8_lossy(&chunk.expect("a chunk")));
        }
        assert!(text.contains("abandoned"), "{text}");
    }
    assert!(asked.elapsed() < Duration::from_secs(10), "all heard of it: {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_wait_ends_when_the_saga_is_stuck_if_that_is_asked_for() {
    let place = Place::new().await;
    let asked = Instant::now();
    let path = format!("/v1/sagas/{}/wait?timeout=30&stuck=true", place.saga);
    let (status, saga) = place.process.api.get(&path).await;
    assert_eq!((status, &saga["status"]), (200, &json!("stuck")), "{saga}");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn unknown_definitions_reload_nothing() {
    let place = Place::new().await;
    let before = place.commits().await;
    let starts = (0..STARTS).map(|number| {
        let body = json!({"definition": format!("unknown-{number}"), "input": {}});
        let api = &place.process.api;
        async move { api.post("/v1/sagas", &body).await }
    });
    for (status, problem) in futures_util::future::join_all(starts).await {
        assert_eq!((status, &problem["code"]), (404, &json!("definition_not_found")), "{problem}");
    }
    // Waits until the statistics are complete.
    place.rate().await;
    let made = place.commits().await - before;
    assert!(made < i64::try_from(STARTS).expect("few") / 2, "{made} statements");
}
