//! Snorri against the floor: the same load on either, in turns, and the cost of each run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::load::{self, Seen};
use crate::measure::{Cpu, Processes, memory_mib, service_id};
use crate::process::{Event, Process, Role, Snorri};
use crate::services::Services;
use crate::wire::Names;
use crate::{amqp, embedded, floor, participant};

/// How much longer than its own times a load may take, draining included.
const GRACE: Duration = Duration::from_secs(45);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// RabbitMQ and PostgreSQL, a process for each role.
    Amqp,
    /// The embedded default: broker and SQLite within the process.
    Embedded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contender {
    Floor,
    Snorri,
    /// Another build of Snorri.
    Before,
}

/// The setting, the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    pub backend: Backend,
    pub in_flight: usize,
    pub refused_percent: u64,
    pub repeated_percent: u64,
    /// How many processes of Snorri share the work.
    pub replicas: usize,
    pub warm_up_seconds: f64,
    pub seconds: f64,
}

/// The result of one contender with one setting.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub contender: Contender,
    pub round: u32,
    #[serde(flatten)]
    pub setting: Setting,
    #[serde(flatten)]
    pub seen: Seen,
    /// CPU milliseconds for each saga: the same number as seconds for each 1,000.
    pub cpu_ms_per_saga: Cpu,
    /// The peak of resident memory of the orchestrator's first process.
    pub peak_mib: f64,
}

/// The shared parts of the runs of a round.
#[derive(Debug)]
pub struct Stage<'a> {
    pub services: Option<&'a Services>,
    pub participant: Option<&'a Process>,
    /// Snorri's database of this round.
    pub database_url: String,
    pub before: Option<Before>,
    pub definitions: PathBuf,
}

/// Another build of `snorri`, with a database of its own: their schemas may differ.
#[derive(Debug)]
pub struct Before {
    pub binary: PathBuf,
    pub database_url: String,
}

/// The participant of all runs on RabbitMQ.
pub async fn start_participant(services: &Services) -> anyhow::Result<Process> {
    let (amqp_url, queue) = (services.amqp_url.clone(), services.participant_queue());
    Process::start(&Role::Participant(participant::Plan { amqp_url, queue })).await
}

impl Stage<'_> {
    pub async fn run(&self, contender: Contender, round: u32, setting: Setting) -> anyhow::Result<Run> {
        let prefix = format!("snorri-bench-{}", uuid::Uuid::now_v7().simple());
        let plan = load::Plan {
            in_flight: setting.in_flight,
            refused_percent: setting.refused_percent,
            repeated_percent: setting.repeated_percent,
            warm_up_seconds: setting.warm_up_seconds,
            seconds: setting.seconds,
            slices: 1,
            prefix: prefix.clone(),
        };
        let (seen, cpu_ms_per_saga, peak_mib) = match setting.backend {
            Backend::Embedded => self.embedded(contender, plan).await?,
            Backend::Amqp => {
                let services = self.services.context("services")?;
                let result = self.on_services(services, contender, plan, setting.replicas).await;
                let left = self.delete_queues(services, &prefix).await;
                let measured = result?;
                left?;
                measured
            }
        };
        Ok(Run { contender, round, setting, seen, cpu_ms_per_saga, peak_mib })
    }

    async fn on_services(
        &self,
        services: &Services,
        contender: Contender,
        plan: load::Plan,
        replicas: usize,
    ) -> anyhow::Result<(Seen, Cpu, f64)> {
        let orchestrator = match contender {
            Contender::Floor => {
                let (amqp_url, prefix) = (services.amqp_url.clone(), plan.prefix.clone());
                Orchestrator::Floor(Box::new(
                    Process::start(&Role::Floor(floor::Plan { amqp_url, prefix })).await?,
                ))
            }
            Contender::Snorri | Contender::Before => {
                let own = (Path::new(env!("CARGO_BIN_EXE_snorri")), self.database_url.as_str());
                let (binary, database_url) = match (contender, &self.before) {
                    (Contender::Before, Some(before)) => {
                        (before.binary.as_path(), before.database_url.as_str())
                    }
                    _ => own,
                };
                let (url, prefix) = (&services.amqp_url, &plan.prefix);
                let mut processes = Vec::new();
                for _ in 0..replicas {
                    let started = Snorri::start(binary, url, database_url, prefix, &self.definitions, &[]);
                    processes.push(started.await.with_context(|| format!("starting {}", binary.display()))?);
                }
                Orchestrator::Snorri(processes)
            }
        };
        let limit = limit(plan.warm_up_seconds + plan.seconds);
        let mut load = Process::spawn(&Role::Load { amqp_url: services.amqp_url.clone(), plan })?;
        let processes = Processes {
            orchestrator: orchestrator.ids(),
            participant: self.participant.map(Process::id),
            load: Some(load.id()),
            rabbitmq: service_id("broker"),
            postgresql: service_id("database"),
        };
        let measured = measure(&mut load, &processes, limit).await?;
        match orchestrator {
            Orchestrator::Floor(floor) => floor.kill().await?,
            Orchestrator::Snorri(processes) => {
                for process in processes {
                    process.terminate().await?;
                }
            }
        }
        Ok(measured)
    }

    /// Removes a run's queues and exchange. Of those that were killed, some last acknowledgements may not have arrived; but there
    /// must be no dead letters.
    pub async fn delete_queues(&self, services: &Services, prefix: &str) -> anyhow::Result<()> {
        let connection = amqp::connect(&services.amqp_url).await?;
        let names = Names::new(prefix);
        amqp::delete_queues(&connection, &names.working()).await?;
        let before = self.before.as_ref().map(|before| before.database_url.as_str());
        for database_url in before.into_iter().chain([self.database_url.as_str()]) {
            for process in services.forget_processes(database_url).await? {
                amqp::delete_queues(&connection, &[&names.replies_of(process)]).await?;
            }
        }
        let dead = amqp::delete_queues(&connection, &[&names.dead_letters]).await?;
        let (probation, parked) = (format!("{prefix}.probation"), format!("{prefix}.parked"));
        let lost = amqp::delete_queues(&connection, &[&probation, &parked]).await?;
        for exchange in [&names.lifecycle, &probation] {
            amqp::delete_exchange(&connection, exchange).await?;
        }
        connection.close(200, "OK".into()).await?;
        ensure!(dead == [0], "{dead:?} messages in {}", names.dead_letters);
        ensure!(lost == [0, 0], "{lost:?} messages in {probation} and {parked}");
        Ok(())
    }

    pub async fn snorri(
        &self,
        services: &Services,
        prefix: &str,
        definitions: &Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Snorri> {
        let binary = Path::new(env!("CARGO_BIN_EXE_snorri"));
        let url = &services.amqp_url;
        Snorri::start(binary, url, &self.database_url, prefix, definitions, settings).await
    }

    async fn embedded(&self, contender: Contender, plan: load::Plan) -> anyhow::Result<(Seen, Cpu, f64)> {
        let limit = limit(plan.warm_up_seconds + plan.seconds);
        let definitions = (contender == Contender::Snorri).then(|| self.definitions.clone());
        let mut process = Process::spawn(&Role::Embedded(embedded::Plan { load: plan, definitions }))?;
        let processes = Processes {
            orchestrator: vec![process.id()],
            participant: None,
            load: None,
            rabbitmq: None,
            postgresql: None,
        };
        measure(&mut process, &processes, limit).await
    }
}

enum Orchestrator {
    Floor(Box<Process>),
    Snorri(Vec<Snorri>),
}

impl Orchestrator {
    fn ids(&self) -> Vec<u32> {
        match self {
            Self::Floor(process) => vec![process.id()],
            Self::Snorri(processes) => processes.iter().map(Snorri::id).collect(),
        }
    }
}

/// Inspects the processes when the load begins and ends to measure.
pub async fn measure(
    load: &mut Process,
    processes: &Processes,
    limit: Duration,
) -> anyhow::Result<(Seen, Cpu, f64)> {
    let Event::Warm = load.event(limit).await? else { bail!("a load that is not warm") };
    let before = processes.cpu()?;
    let Event::Measured = load.event(limit).await? else { bail!("a load that did not measure") };
    let after = processes.cpu()?;
    let first = processes.orchestrator.first().context("an orchestrator")?;
    let peak_mib = memory_mib(*first, "VmHWM")?;
    let Event::Seen(seen) = load.event(limit).await? else { bail!("a load that saw nothing") };
    let cpu = after.since(&before, seen.sagas);
    Ok((seen, cpu, peak_mib))
}

/// How long the next event of a load that measures for so long may take.
pub fn limit(seconds: f64) -> Duration {
    GRACE + Duration::from_secs_f64(seconds)
}
