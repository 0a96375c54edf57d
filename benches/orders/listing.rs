//! The cost of an operator's reads for the engine: the order saga without an operator, while one lists sagas, and while one has
//! `snorri top` open, on a database that holds many sagas.
//!
//! One process and one load serve all slices, and the operator changes every few seconds: the effect is smaller than the
//! difference between two runs. The slices of a group take turns, forwards and then backwards.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sea_orm::Database;
use serde::{Deserialize, Serialize};
use snorri_api::sagas::{PageQuery, SagaQuery};
use snorri_core::Status;
use snorri_store::Options;
use snorri_store::SqlStore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::fill::fill;
use crate::load::{self, Seen};
use crate::measure::{Cpu, Processes, median, percentile, service_id};
use crate::process::{Event, Process, Role, Snorri};
use crate::services::Services;
use crate::versus::{Stage, limit};

/// The least part of the throughput that must be left while an operator lists.
pub const LEAST_RATIO: f64 = 0.95;
const IN_FLIGHT: usize = 200;
/// Between two lists.
const LIST_INTERVAL: Duration = Duration::from_millis(200);
/// As `snorri top` has it, and how many sagas it shows.
const TOP_INTERVAL: Duration = Duration::from_secs(2);
const TOP_SAGAS: u32 = 30;

/// The operator of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    None,
    /// `snorri list` again and again, each time with other conditions.
    List,
    /// `snorri top`, whose counts are of all sagas.
    Top,
}

const OPERATORS: [Operator; 3] = [Operator::None, Operator::List, Operator::Top];

#[derive(Debug, Clone, Serialize)]
pub struct Listing {
    /// In the database before the first order.
    pub sagas: u64,
    pub in_flight: usize,
    pub slices: Vec<Slice>,
    pub results: Vec<Summary>,
}

/// The result with one operator.
#[derive(Debug, Clone, Serialize)]
pub struct Slice {
    pub operator: Operator,
    pub group: usize,
    #[serde(flatten)]
    pub seen: Seen,
    pub cpu_ms_per_saga: Cpu,
    pub answers_ms: Vec<f64>,
}

/// The medians of one operator.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub operator: Operator,
    pub sagas_per_second: f64,
    /// The median over the groups of this operator's rate as part of that without an operator.
    pub ratio_to_none: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub cpu_ms_per_saga: Cpu,
    /// Of all answers to the operator.
    pub answer_p50_ms: f64,
    pub answer_p99_ms: f64,
    pub answers: usize,
}

/// The amount of measurements.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    pub sagas: u64,
    pub groups: usize,
    pub warm_up_seconds: f64,
    pub seconds: f64,
}

pub async fn run(stage: &Stage<'_>, services: &Services, extent: Extent) -> anyhow::Result<Listing> {
    let Extent { sagas, groups, warm_up_seconds, seconds } = extent;
    prepare(&stage.database_url, sagas).await?;
    let prefix = format!("snorri-bench-{}", uuid::Uuid::now_v7().simple());
    let snorri = stage.snorri(services, &prefix, &stage.definitions, &[]).await?;
    let plan = load::Plan {
        in_flight: IN_FLIGHT,
        refused_percent: 0,
        repeated_percent: 0,
        warm_up_seconds,
        seconds,
        slices: groups * OPERATORS.len(),
        prefix: prefix.clone(),
    };
    let slices = slices(stage, services, &snorri, plan).await;
    snorri.terminate().await?;
    let left = stage.delete_queues(services, &prefix).await;
    let slices = slices?;
    left?;
    let results = OPERATORS.into_iter().filter_map(|operator| summary(&slices, operator)).collect();
    Ok(Listing { sagas, in_flight: IN_FLIGHT, slices, results })
}

/// Creates the schema, and sagas of the past.
async fn prepare(url: &str, sagas: u64) -> anyhow::Result<()> {
    SqlStore::connect(&Options::new(url)).await?.close().await;
    let database = Database::connect(url).await?;
    fill(&database, sagas).await?;
    Ok(database.close().await?)
}

async fn slices(
    stage: &Stage<'_>,
    services: &Services,
    snorri: &Snorri,
    plan: load::Plan,
) -> anyhow::Result<Vec<Slice>> {
    let (count, limit) = (plan.slices, limit(plan.warm_up_seconds + plan.seconds));
    let mut load = Process::spawn(&Role::Load { amqp_url: services.amqp_url.clone(), plan })?;
    let processes = Processes {
        orchestrator: vec![snorri.id()],
        participant: stage.participant.map(Process::id),
        load: Some(load.id()),
        rabbitmq: service_id("broker"),
        postgresql: service_id("database"),
    };
    let mut looks = Vec::new();
    for (operator, group) in order(count) {
        let looking = Looking::begin(operator, snorri.url("v1/sagas"));
        let Event::Warm = load.event(limit).await? else { bail!("a load that is not warm") };
        let before = processes.cpu()?;
        looking.forget();
        let Event::Measured = load.event(limit).await? else { bail!("a load that did not measure") };
        let after = processes.cpu()?;
        looks.push((operator, group, before, after, looking.end().await?));
    }
    let mut slices = Vec::new();
    for (operator, group, before, after, answers_ms) in looks {
        let Event::Seen(seen) = load.event(limit).await? else { bail!("a load that saw nothing") };
        ensure!(seen.sagas > 0, "no order came to its end");
        let cpu_ms_per_saga = after.since(&before, seen.sagas);
        slices.push(Slice { operator, group, seen, cpu_ms_per_saga, answers_ms });
    }
    Ok(slices)
}

/// Operator and group of each slice.
fn order(slices: usize) -> impl Iterator<Item = (Operator, usize)> {
    (0..slices).map(|slice| {
        let (group, place) = (slice / OPERATORS.len(), slice % OPERATORS.len());
        let place = if group % 2 == 1 { OPERATORS.len() - 1 - place } else { place };
        (OPERATORS[place], group)
    })
}

/// A running operator.
struct Looking {
    task: JoinHandle<anyhow::Result<()>>,
    answers_ms: Arc<Mutex<Vec<f64>>>,
}

impl Looking {
    fn begin(operator: Operator, sagas: String) -> Self {
        let answers_ms = Arc::new(Mutex::new(Vec::new()));
        let session = Session { client: reqwest::Client::new(), sagas, answers_ms: Arc::clone(&answers_ms) };
        Self { task: tokio::spawn(session.look(operator)), answers_ms }
    }

    fn forget(&self) {
        self.answers_ms.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Stops, and returns how long the answers took.
    async fn end(self) -> anyhow::Result<Vec<f64>> {
        if self.task.is_finished() {
            self.task.await?.context("the operator got no answer")?;
        } else {
            self.task.abort();
        }
        Ok(std::mem::take(&mut self.answers_ms.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

struct Session {
    client: reqwest::Client,
    sagas: String,
    answers_ms: Arc<Mutex<Vec<f64>>>,
}

impl Session {
    /// Runs until something fails.
    async fn look(self, operator: Operator) -> anyhow::Result<()> {
        match operator {
            Operator::None => std::future::pending().await,
            Operator::List => self.list_repeatedly().await,
            Operator::Top => self.top().await,
        }
    }

    async fn list_repeatedly(&self) -> anyhow::Result<()> {
        let mut ticks = interval(LIST_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for query in conditions().iter().cycle() {
            ticks.tick().await;
            self.list(query, None).await?;
        }
        Ok(())
    }

    /// The requests of `snorri top`, except the incidents of stuck sagas, which it finds by their id.
    async fn top(&self) -> anyhow::Result<()> {
        let mut ticks = interval(TOP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.answer(self.client.get(format!("{}/counts", self.sagas))).await?;
            let stuck = SagaQuery { status: Some(Status::Stuck), ..SagaQuery::default() };
            self.list(&stuck, Some(TOP_SAGAS)).await?;
            self.list(&SagaQuery::default(), Some(TOP_SAGAS)).await?;
        }
    }

    async fn list(&self, query: &SagaQuery, limit: Option<u32>) -> anyhow::Result<()> {
        let page = PageQuery { limit, after: None };
        self.answer(self.client.get(&self.sagas).query(query).query(&page)).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<()> {
        let began = Instant::now();
        request.send().await?.error_for_status()?.bytes().await?;
        let took = began.elapsed().as_secs_f64() * 1_000.0;
        self.answers_ms.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        Ok(())
    }
}

/// The conditions of operators. The times are of the sagas of the past, the step is of the current orders.
fn conditions() -> Vec<SagaQuery> {
    let text = |text: &str| Some(text.to_owned());
    let all = SagaQuery::default;
    vec![
        all(),
        SagaQuery { status: Some(Status::Stuck), ..all() },
        SagaQuery { definition: text("order"), ..all() },
        SagaQuery { incident: text("timeout"), ..all() },
        SagaQuery { status: Some(Status::Running), ..all() },
        SagaQuery { attribute: text("customer=customer 7"), ..all() },
        SagaQuery { definition: text("trip"), status: Some(Status::Compensated), ..all() },
        SagaQuery { key: text("key 4711"), ..all() },
        SagaQuery {
            started_from: text("2023-11-14T22:30:00Z"),
            started_until: text("2023-11-15T12:00:00Z"),
            ..all()
        },
        SagaQuery { paused: Some(true), ..all() },
        SagaQuery { definition: text("order"), version: Some(1), status: Some(Status::Running), ..all() },
        SagaQuery { definition: text("order"), step: text("charge"), ..all() },
    ]
}

fn summary(slices: &[Slice], operator: Operator) -> Option<Summary> {
    let of = |operator| slices.iter().filter(move |slice| slice.operator == operator);
    of(operator).next()?;
    let middle = |number: &dyn Fn(&Slice) -> f64| median(of(operator).map(number).collect());
    let ratios = of(operator).filter_map(|slice| {
        let alone = of(Operator::None).find(|alone| alone.group == slice.group)?;
        Some(slice.seen.sagas_per_second / alone.seen.sagas_per_second)
    });
    let mut answers: Vec<f64> = of(operator).flat_map(|slice| slice.answers_ms.iter().copied()).collect();
    answers.sort_unstable_by(f64::total_cmp);
    Some(Summary {
        operator,
        sagas_per_second: middle(&|slice| slice.seen.sagas_per_second),
        ratio_to_none: median(ratios.collect()),
        p50_ms: middle(&|slice| slice.seen.p50_ms),
        p99_ms: middle(&|slice| slice.seen.p99_ms),
        cpu_ms_per_saga: Cpu::median(of(operator).map(|slice| slice.cpu_ms_per_saga)),
        answer_p50_ms: percentile(&answers, 50),
        answer_p99_ms: percentile(&answers, 99),
        answers: answers.len(),
    })
}
