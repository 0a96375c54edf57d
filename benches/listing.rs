//! `cargo bench --bench listing`: how long lists of sagas take at a million sagas, by every kind of condition, on PostgreSQL.
//!
//! The pages are read through the store itself, with other values each time, on deep pages too. The database's own statistics
//! of these statements show which indexes are read. It fails if a kind's p99 is 50 ms or more, or if the table of sagas is
//! scanned.

#![allow(clippy::cast_possible_truncation, reason = "no run counts 2^32 of anything")]

#[path = "support/fill.rs"]
mod fill;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use snorri_core::{SagaId, Status, Time};
use snorri_ports::store::{Filter, Store};
use snorri_store::Options;
use snorri_store::SqlStore;
use tokio::time::Instant;
use uuid::Uuid;

use fill::{APART, FIRST, fill};

const MOST_TIME: Duration = Duration::from_millis(50);
const PAGE: u32 = 50;
/// The shortest interval at which a session publishes its statistics.
const STATISTICS_DELAY: Duration = Duration::from_millis(1_500);

#[derive(Debug, Parser)]
struct Args {
    /// Number of sagas
    #[arg(long, default_value_t = 1_000_000)]
    sagas: u64,
    /// Number of pages read of each kind
    #[arg(long, default_value_t = 200)]
    runs: u32,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let server = std::env::var("SNORRI_TEST_DATABASE_URL")
        .context("SNORRI_TEST_DATABASE_URL: use `tests/services.sh run cargo bench --bench listing`")?;
    let name = format!("snorri_bench_{}", Uuid::now_v7().simple());
    execute(&server, &format!("CREATE DATABASE {name}")).await?;
    let (address, _) = server.rsplit_once('/').context("a URL with a database")?;
    let result = measure(&args, &format!("{address}/{name}")).await;
    execute(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await?;
    result
}

async fn measure(args: &Args, url: &str) -> anyhow::Result<()> {
    // One connection, because each publishes its statistics after a statement.
    let options =
        Options { max_connections: 1, statement_timeout: Duration::from_secs(60), ..Options::new(url) };
    let store = SqlStore::connect(&options).await?;
    let database = Database::connect(sea_orm::ConnectOptions::new(url).max_connections(1).to_owned()).await?;
    let began = Instant::now();
    fill(&database, args.sagas).await?;
    // The reads so far, of this and of the migrations, must not be published later.
    tokio::time::sleep(STATISTICS_DELAY).await;
    database.execute_unprepared("SELECT 1").await?;
    store.count_unsent(100_000).await?;
    println!("{} sagas in {:.0?}\n", args.sagas, began.elapsed());
    println!("{:<36} {:>9} {:>9} {:>6}  indexes", "", "p50 ms", "p99 ms", "rows");
    let mut random = Random { state: 1, sagas: args.sagas };
    let mut too_slow = Vec::new();
    for (name, condition) in kinds().into_iter().chain(marked_kinds()) {
        let before = scans(&database).await?;
        let (mut times, mut rows) = (Vec::new(), 0);
        for run in 0..args.runs {
            let mut filter = condition(&mut random);
            if run % 2 == 1 {
                filter.after = Some((random.time(), SagaId(Uuid::max())));
            }
            let began = Instant::now();
            rows += store.sagas(&filter, PAGE).await?.len();
            times.push(began.elapsed());
        }
        tokio::time::sleep(STATISTICS_DELAY).await;
        store.count_unsent(100_000).await?;
        let after = scans(&database).await?;
        let used = used(&before, &after);
        if print(name, times, rows, &used) >= MOST_TIME || used.contains(&"saga (whole)") {
            too_slow.push(name);
        }
    }
    others(&store, args).await?;
    store.close().await;
    database.close().await?;
    ensure!(too_slow.is_empty(), "not within {MOST_TIME:?} by an index: {}", too_slow.join(", "));
    Ok(())
}

type Condition = fn(&mut Random) -> Filter;

/// Conditions on the table of sagas.
fn kinds() -> Vec<(&'static str, Condition)> {
    vec![
        ("all", |_| Filter::default()),
        ("status", |random| Filter { status: Some(random.status()), ..Filter::default() }),
        ("status: abandoned, rare", |_| Filter { status: Some(Status::Abandoned), ..Filter::default() }),
        ("unfinished", |_| Filter { unfinished: true, ..Filter::default() }),
        ("time", |random| random.between(Filter::default())),
        ("key", |random| Filter { key: Some(random.key()), ..Filter::default() }),
        ("definition", |random| Filter { definition: random.definition(), ..Filter::default() }),
        ("definition, time", |random| {
            let definition = random.definition();
            random.between(Filter { definition, ..Filter::default() })
        }),
        ("definition, key", |random| Filter {
            definition: random.definition(),
            key: Some(random.key()),
            ..Filter::default()
        }),
        ("definition, version", |random| random.version()),
        ("definition, status", |random| Filter {
            definition: random.definition(),
            status: Some(random.status()),
            ..Filter::default()
        }),
        ("definition, unfinished", |random| Filter {
            definition: random.definition(),
            unfinished: true,
            ..Filter::default()
        }),
        ("definition, version, status", |random| Filter {
            status: Some(random.status()),
            ..random.version()
        }),
        ("definition, version, unfinished", |random| Filter { unfinished: true, ..random.version() }),
    ]
}

/// Conditions on tables of their own, and pauses.
fn marked_kinds() -> Vec<(&'static str, Condition)> {
    vec![
        ("incident", |random| Filter { incident: random.incident(), ..Filter::default() }),
        ("incident, definition", |random| Filter {
            incident: random.incident(),
            definition: random.definition(),
            ..Filter::default()
        }),
        ("attribute of few", |random| Filter { attribute: random.customer(), ..Filter::default() }),
        ("attribute of few, status", |random| Filter {
            attribute: random.customer(),
            status: Some(random.status()),
            ..Filter::default()
        }),
        ("attribute of many", |random| Filter { attribute: random.region(), ..Filter::default() }),
        ("attribute of many, status", |random| Filter {
            attribute: random.region(),
            status: Some(random.status()),
            ..Filter::default()
        }),
        ("attribute of many, definition", |random| Filter {
            attribute: random.region(),
            definition: random.definition(),
            ..Filter::default()
        }),
        ("attribute of many, incident", |random| Filter {
            attribute: random.region(),
            incident: random.incident(),
            ..Filter::default()
        }),
        ("paused", |_| Filter { paused: Some(true), ..Filter::default() }),
        ("paused, definition", |random| Filter {
            paused: Some(true),
            definition: random.definition(),
            ..Filter::default()
        }),
        ("not paused, status", |random| Filter {
            paused: Some(false),
            status: Some(random.status()),
            ..Filter::default()
        }),
        ("all of them", |random| {
            let filter = Filter {
                unfinished: true,
                incident: random.incident(),
                attribute: random.region(),
                paused: Some(false),
                ..random.version()
            };
            random.between(filter)
        }),
    ]
}

/// Values, the same in each run.
#[derive(Debug)]
struct Random {
    state: u64,
    sagas: u64,
}

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % end
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    fn time(&mut self) -> Time {
        Time(FIRST + self.below(self.sagas).cast_signed() * APART)
    }

    fn between(&mut self, filter: Filter) -> Filter {
        let from = self.time();
        let length = 1 + self.below(self.sagas / 2).cast_signed() * APART;
        Filter { started_from: Some(from), started_until: Some(Time(from.0 + length)), ..filter }
    }

    fn key(&mut self) -> String {
        format!("key {}", 1 + self.below(self.sagas))
    }

    fn definition(&mut self) -> Option<String> {
        Some(self.one_of(&["order", "trip", "refund", "rare 1", "rare 7"]).to_owned())
    }

    fn version(&mut self) -> Filter {
        let version = Some(1 + self.below(10) as u32);
        Filter { definition: self.definition(), version, ..Filter::default() }
    }

    fn status(&mut self) -> Status {
        use Status::{Abandoned, Compensated, Compensating, Completed, Running, Stuck};
        self.one_of(&[Running, Compensating, Stuck, Completed, Compensated, Abandoned])
    }

    fn incident(&mut self) -> Option<String> {
        Some(self.one_of(&["timeout", "refused", "rare"]).to_owned())
    }

    fn customer(&mut self) -> Option<(String, String)> {
        let customers = (self.sagas / 20).max(1);
        Some(("customer".to_owned(), format!("customer {}", self.below(customers))))
    }

    fn region(&mut self) -> Option<(String, String)> {
        Some(("region".to_owned(), self.one_of(&["eu", "us", "ap"]).to_owned()))
    }
}

/// Other frequent queries.
async fn others(store: &SqlStore, args: &Args) -> anyhow::Result<()> {
    println!();
    let mut random = Random { state: 2, sagas: args.sagas };
    let end = Time(FIRST + args.sagas.cast_signed() * APART);
    let (mut counts, mut since, mut finding, mut deleting) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.runs.div_ceil(10) {
        let began = Instant::now();
        store.counts().await?;
        counts.push(began.elapsed());
        let began = Instant::now();
        store.appended_since(Time(end.0 - 1_000), 500).await?;
        since.push(began.elapsed());
        let definition = random.definition().context("a definition")?;
        let began = Instant::now();
        let found = store.finished_before(&definition, random.time(), None, 500).await?;
        finding.push(began.elapsed());
        let began = Instant::now();
        let found: Vec<_> = found.into_iter().map(|(_, saga)| saga).collect();
        store.delete_sagas(&found).await?;
        deleting.push(began.elapsed());
    }
    print("counts", counts, 0, &[]);
    print("appended in the last second", since, 0, &[]);
    print("500 that finished before", finding, 0, &[]);
    print("deleting them", deleting, 0, &[]);
    Ok(())
}

/// Prints a line and returns the p99.
fn print(name: &str, mut times: Vec<Duration>, rows: usize, used: &[&str]) -> Duration {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).saturating_sub(1)];
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    let (middle, high) = (millis(at(50)), millis(at(99)));
    println!("{name:<36} {middle:>9.2} {high:>9.2} {rows:>6}  {}", used.join(", "));
    at(99)
}

/// How often each index was read, and the table of sagas as a whole.
async fn scans(database: &DatabaseConnection) -> anyhow::Result<BTreeMap<String, i64>> {
    let sql = "SELECT indexrelname::text AS name, idx_scan AS scans FROM pg_stat_user_indexes
        UNION ALL SELECT 'saga (whole)', seq_scan FROM pg_stat_user_tables WHERE relname = 'saga'";
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await?;
    rows.iter().map(|row| Ok((row.try_get("", "name")?, row.try_get("", "scans")?))).collect()
}

fn used<'a>(before: &BTreeMap<String, i64>, after: &'a BTreeMap<String, i64>) -> Vec<&'a str> {
    let more = after.iter().filter(|(name, scans)| before.get(*name).is_none_or(|before| before < scans));
    more.map(|(name, _)| name.as_str()).filter(|name| *name != "outbox_pkey").collect()
}

async fn execute(server: &str, sql: &str) -> anyhow::Result<()> {
    let server = Database::connect(server).await.context("PostgreSQL does not let us in")?;
    server.execute_unprepared(sql).await?;
    Ok(server.close().await?)
}
