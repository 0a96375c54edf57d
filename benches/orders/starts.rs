//! Starts over REST against starts over AMQP, in turns: how many sagas a second are started, and what that costs.
//!
//! The saga is the order, so that its start is checked, keyed, journaled and sent as everywhere else; but its first command has
//! no reply, and a very long timeout. What follows a start would otherwise be three quarters of the work, and the ratio would
//! mostly compare it with itself.
//!
//! With more in flight, more starts share a commit and a confirm, and each costs less. So each way is compared with AMQP at the
//! same number in flight, and in addition with the maximum of AMQP.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::amqp;
use crate::load::Seen;
use crate::measure::{Cpu, Processes, median, service_id};
use crate::memory::patient_definitions;
use crate::process::{Process, Role};
use crate::services::Services;
use crate::starting::{self, Way};
use crate::versus::{Stage, limit, measure};

/// The least rate over REST, as part of that over AMQP with as many in flight.
pub const LEAST_RATIO: f64 = 0.8;
/// As many requests as Snorri handles at once by default.
const FEW: usize = 256;
/// As many messages as it takes from a queue at once: it never waits for one.
const MANY: usize = 2_000;
/// Ways, each with the number in flight.
pub const WAYS: [(Way, usize); 4] =
    [(Way::Amqp, FEW), (Way::Rest, FEW), (Way::Amqp, MANY), (Way::Bulk, MANY)];
/// One caller makes all requests here: counted as ever, but never refused.
const UNREFUSED: (&str, &str) = ("SNORRI__HTTP__REQUESTS_PER_SECOND", "1000000");

/// The result of one way in one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub way: Way,
    pub under_way: usize,
    pub round: u32,
    /// The times are those from the request to the first command.
    #[serde(flatten)]
    pub seen: Seen,
    pub cpu_ms_per_start: Cpu,
    pub peak_mib: f64,
}

/// The medians of one way.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub way: Way,
    pub under_way: usize,
    pub starts_per_second: f64,
    /// The median over the rounds of this way's rate as part of that over AMQP with as many in flight.
    pub ratio_to_amqp: f64,
    /// The same, as part of the maximum of AMQP.
    pub ratio_to_most: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub cpu_ms_per_start: Cpu,
    pub peak_mib: f64,
}

pub async fn run(
    stage: &Stage<'_>,
    services: &Services,
    (way, under_way): (Way, usize),
    round: u32,
    (warm_up_seconds, seconds): (f64, f64),
) -> anyhow::Result<Run> {
    let definitions = patient_definitions(stage, services)?;
    let connection = amqp::connect(&services.amqp_url).await?;
    amqp::declare_exchange(&connection, &services.idle_queue()).await?;
    connection.close(200, "OK".into()).await?;

    let prefix = format!("snorri-bench-{}", uuid::Uuid::now_v7().simple());
    let snorri = stage.snorri(services, &prefix, definitions.path(), &[UNREFUSED]).await?;
    let plan = starting::Plan {
        amqp_url: services.amqp_url.clone(),
        address: snorri.address().to_owned(),
        way,
        under_way,
        warm_up_seconds,
        seconds,
        prefix: prefix.clone(),
        exchange: services.idle_queue(),
    };
    let mut load = Process::spawn(&Role::Starting(plan))?;
    let processes = Processes {
        orchestrator: vec![snorri.id()],
        participant: None,
        load: Some(load.id()),
        rabbitmq: service_id("broker"),
        postgresql: service_id("database"),
    };
    let measured = measure(&mut load, &processes, limit(warm_up_seconds + seconds)).await;
    snorri.terminate().await?;
    let left = stage.delete_queues(services, &prefix).await;
    let (seen, cpu_ms_per_start, peak_mib) = measured?;
    left?;
    ensure!(seen.sagas > 0, "nothing was started");
    Ok(Run { way, under_way, round, seen, cpu_ms_per_start, peak_mib })
}

pub fn summarize(runs: &[Run]) -> Vec<Summary> {
    WAYS.into_iter().filter_map(|way| summary(runs, way)).collect()
}

fn summary(runs: &[Run], (way, under_way): (Way, usize)) -> Option<Summary> {
    let of = |way, under_way| runs.iter().filter(move |run| run.way == way && run.under_way == under_way);
    let own = || of(way, under_way);
    own().next()?;
    let middle = |number: &dyn Fn(&Run) -> f64| median(own().map(number).collect());
    let ratio_to = |under_way| {
        let ratios = own().filter_map(|run| {
            let amqp = of(Way::Amqp, under_way).find(|amqp| amqp.round == run.round)?;
            Some(run.seen.sagas_per_second / amqp.seen.sagas_per_second)
        });
        median(ratios.collect())
    };
    Some(Summary {
        way,
        under_way,
        starts_per_second: middle(&|run| run.seen.sagas_per_second),
        ratio_to_amqp: ratio_to(under_way),
        ratio_to_most: ratio_to(MANY),
        p50_ms: middle(&|run| run.seen.p50_ms),
        p99_ms: middle(&|run| run.seen.p99_ms),
        cpu_ms_per_start: Cpu::median(own().map(|run| run.cpu_ms_per_start)),
        peak_mib: middle(&|run| run.peak_mib),
    })
}
