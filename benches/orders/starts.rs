//! Starts over REST against starts over AMQP, in turns: how many sagas a second are started, and what that costs.
//!
//! The saga is the order, so that what is checked, keyed, journaled and sent at its start is what it is everywhere else; but nobody
//! answers its first command, and it has all the time in the world. What follows a start would otherwise be three quarters of the
//! work, and the ratio would mostly compare it with itself.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::amqp;
use crate::load::Seen;
use crate::measure::{Cpu, Processes, median, service_id};
use crate::memory::patient_definitions;
use crate::process::{Process, Role};
use crate::services::Services;
use crate::starting::{self, Way};
use crate::versus::{Stage, delete_queues, limit, measure};

/// Of the starts over AMQP, how many there must be over REST.
pub const LEAST_RATIO: f64 = 0.8;
/// One caller asks for all of it here: counted as ever, but never refused.
const UNREFUSED: (&str, &str) = ("SNORRI__HTTP__REQUESTS_PER_SECOND", "1000000");

/// What one way did in one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub way: Way,
    pub round: u32,
    /// The times are those from asking for a saga to its first command.
    #[serde(flatten)]
    pub seen: Seen,
    pub cpu_ms_per_start: Cpu,
    pub peak_mib: f64,
}

/// The medians of one way.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub way: Way,
    pub starts_per_second: f64,
    /// Of the rounds, the median of this one's rate as part of that over AMQP.
    pub ratio_to_amqp: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub cpu_ms_per_start: Cpu,
    pub peak_mib: f64,
}

pub async fn run(
    stage: &Stage<'_>,
    services: &Services,
    way: Way,
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
        warm_up_seconds,
        seconds,
        prefix: prefix.clone(),
        exchange: services.idle_queue(),
    };
    let mut load = Process::spawn(&Role::Starting(plan))?;
    let processes = Processes {
        orchestrator: snorri.id(),
        participant: None,
        load: Some(load.id()),
        rabbitmq: service_id("broker"),
        postgresql: service_id("database"),
    };
    let measured = measure(&mut load, &processes, limit(warm_up_seconds + seconds)).await;
    snorri.terminate().await?;
    let left = delete_queues(services, &prefix).await;
    let (seen, cpu_ms_per_start, peak_mib) = measured?;
    left?;
    ensure!(seen.sagas > 0, "nothing was started");
    Ok(Run { way, round, seen, cpu_ms_per_start, peak_mib })
}

pub fn summarize(runs: &[Run]) -> Vec<Summary> {
    [Way::Amqp, Way::Rest, Way::Bulk].into_iter().filter_map(|way| summary(runs, way)).collect()
}

fn summary(runs: &[Run], way: Way) -> Option<Summary> {
    let of = |way| runs.iter().filter(move |run| run.way == way);
    of(way).next()?;
    let middle = |number: &dyn Fn(&Run) -> f64| median(of(way).map(number).collect());
    let ratios = of(way).filter_map(|run| {
        let amqp = of(Way::Amqp).find(|amqp| amqp.round == run.round)?;
        Some(run.seen.sagas_per_second / amqp.seen.sagas_per_second)
    });
    Some(Summary {
        way,
        starts_per_second: middle(&|run| run.seen.sagas_per_second),
        ratio_to_amqp: median(ratios.collect()),
        p50_ms: middle(&|run| run.seen.p50_ms),
        p99_ms: middle(&|run| run.seen.p99_ms),
        cpu_ms_per_start: Cpu::median(of(way).map(|run| run.cpu_ms_per_start)),
        peak_mib: middle(&|run| run.peak_mib),
    })
}
