//! `make bench`: how many order sagas a second Snorri runs, how fast, and what they cost, against a floor that only moves the
//! same messages.
//!
//! This program plays every role but Snorri's, each in a process of its own (see [`process::Role`]); without one it
//! coordinates the others. In reading order:
//!
//! - [`wire`], [`amqp`]: the messages, and RabbitMQ on bare lapin
//! - [`participant`], [`load`], [`starting`], [`floor`]: the roles
//! - [`embedded`]: all of them within one process
//! - [`process`], [`measure`], [`services`]: starting them, and what they cost
//! - [`versus`], [`starts`], [`listing`], [`memory`], [`report`]: the measurements and the report

#![allow(clippy::cast_precision_loss, reason = "no run counts 2^52 of anything")]

mod amqp;
mod embedded;
#[path = "../support/fill.rs"]
mod fill;
mod floor;
mod listing;
mod load;
mod measure;
mod memory;
mod participant;
mod process;
mod report;
mod services;
mod starting;
mod starts;
mod versus;
mod wire;

use std::path::{Path, PathBuf};

use clap::Parser;

use listing::Extent;
use process::Role;
use report::{Measured, Report};
use services::Services;
use versus::{Backend, Before, Contender, Setting, Stage, start_participant};

/// The number of groups in each round that measure the cost of an operator.
const GROUPS: usize = 4;

/// The sagas in flight from which several processes share the work.
const SHARED_FROM: usize = 200;

/// Measures Snorri against the floor. After `cargo bench --bench orders --`.
#[derive(Debug, Parser)]
struct Args {
    /// Services to measure on; none for `--starts`, `--listing` and `--memory` alone
    #[arg(long, value_delimiter = ',', default_values = ["amqp", "embedded"], num_args = 0..)]
    backend: Vec<Backend>,
    /// Sagas in flight at any moment
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 200, 1_000])]
    in_flight: Vec<usize>,
    /// Of a hundred orders, how many are refused and compensated
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10, 100])]
    refused: Vec<u64>,
    /// Of a hundred orders, how many are started once more after their end; only where none is refused, and not on the floor
    #[arg(long, value_delimiter = ',', default_values_t = [0, 5])]
    repeated: Vec<u64>,
    /// Processes of Snorri that share the work; several only where no order is refused or repeated, from 200 in flight on
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3])]
    replicas: Vec<usize>,
    /// Number of rounds; medians are reported
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long each run is measured
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Warm-up before each run
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Another build of `snorri`, to be measured in the same run on RabbitMQ: the state before a change
    #[arg(long, value_name = "BINARY")]
    before: Option<PathBuf>,
    /// Whether to measure starts over REST against starts over AMQP, on RabbitMQ
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    starts: bool,
    /// Whether to measure the cost of an operator who lists sagas, on RabbitMQ
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    listing: bool,
    /// How many sagas the database then holds
    #[arg(long, value_name = "SAGAS", default_value_t = 1_000_000)]
    listed: u64,
    /// Whether to measure the memory of 100,000 waiting sagas, on RabbitMQ
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    memory: bool,
    /// File for the JSON report
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench/orders.json"))]
    output: PathBuf,
    /// Internal: play this role instead
    #[arg(long, hide = true)]
    role: Option<String>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    snorri::crypto::install();
    if let Some(role) = &args.role {
        return serde_json::from_str::<Role>(role)?.play();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(coordinate(&args))
}

/// Runs everything, and removes it again, also after a failure or Ctrl-C.
async fn coordinate(args: &Args) -> anyhow::Result<()> {
    let needs_services = args.starts || args.listing || args.memory || args.backend.contains(&Backend::Amqp);
    let services = if needs_services { Some(Services::from_env()?) } else { None };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut measured = Measured::default();
    let result = tokio::select! {
        result = measure(args, services.as_ref(), &mut measured) => result,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
    };
    if let Some(services) = &services {
        services.clean_up(3 * args.rounds + 1).await?;
    }
    // Results from before a failure are reported all the same.
    let report = Report::new(measured);
    report.write(&args.output)?;
    report.print();
    println!("\nAll of it: {}", args.output.display());
    result?;
    let shortcomings = report.shortcomings();
    anyhow::ensure!(shortcomings.is_empty(), "{}", shortcomings.join("; "));
    Ok(())
}

async fn measure(args: &Args, services: Option<&Services>, measured: &mut Measured) -> anyhow::Result<()> {
    let participant = match services {
        Some(services) => Some(start_participant(services).await?),
        None => None,
    };
    // This saga alone, because another build may not understand the others.
    let definitions = tempfile::Builder::new().prefix("snorri-bench-").tempdir()?;
    let order = Path::new(env!("CARGO_MANIFEST_DIR")).join("sagas/order.yaml");
    std::fs::copy(order, definitions.path().join("order.yaml"))?;
    let stage = |database_url, database_before| Stage {
        services,
        participant: participant.as_ref(),
        database_url,
        before: args.before.clone().map(|binary| Before { binary, database_url: database_before }),
        definitions: definitions.path().to_owned(),
    };
    for round in 0..args.rounds {
        // A new one for each round, so that the rounds are alike.
        let (number, number_before) = (round, args.rounds + round);
        let before =
            if args.before.is_some() { database(services, number_before).await? } else { String::new() };
        compare(args, &stage(database(services, number).await?, before), round, measured).await?;
        if let Some(services) = services {
            services.drop_database(number).await?;
            services.drop_database(number_before).await?;
        }
    }
    let Some(services) = services else { return Ok(()) };
    for round in (0..args.rounds).filter(|_| args.starts) {
        let number = 2 * args.rounds + round;
        let stage = stage(services.create_database(number).await?, String::new());
        start(args, &stage, services, round, measured).await?;
        services.drop_database(number).await?;
    }
    if args.listing {
        let number = 3 * args.rounds;
        let stage = stage(services.create_database(number).await?, String::new());
        let Args { listed: sagas, warm_up: warm_up_seconds, seconds, .. } = *args;
        let extent = Extent { sagas, groups: args.rounds as usize * GROUPS, warm_up_seconds, seconds };
        measured.listing = Some(listing::run(&stage, services, extent).await?);
        services.drop_database(number).await?;
    }
    if args.memory {
        let stage = stage(services.create_database(3 * args.rounds + 1).await?, String::new());
        measured.memory = Some(memory::run(&stage, services).await?);
    }
    Ok(())
}

/// One round of Snorri against the floor.
async fn compare(args: &Args, stage: &Stage<'_>, round: u32, measured: &mut Measured) -> anyhow::Result<()> {
    for setting in settings(args) {
        // Alternating in time, because a machine's speed drifts; and in turns, because one disturbs the next.
        let mut contenders = vec![Contender::Snorri];
        if setting.repeated_percent == 0 && setting.replicas == 1 {
            contenders.push(Contender::Floor);
        }
        if args.before.is_some() && setting.backend == Backend::Amqp {
            contenders.push(Contender::Before);
        }
        if round % 2 == 1 {
            contenders.reverse();
        }
        for contender in contenders {
            let run = stage.run(contender, round, setting).await?;
            eprintln!("{}", progress(&run));
            measured.runs.push(run);
        }
    }
    Ok(())
}

/// One round of starts, each way.
async fn start(
    args: &Args,
    stage: &Stage<'_>,
    services: &Services,
    round: u32,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let mut ways = starts::WAYS;
    if round % 2 == 1 {
        ways.reverse();
    }
    for way in ways {
        let run = starts::run(stage, services, way, round, (args.warm_up, args.seconds)).await?;
        eprintln!("{round} starts {:?} {}: {:.0}/s", run.way, run.under_way, run.seen.sagas_per_second);
        measured.starts.push(run);
    }
    Ok(())
}

async fn database(services: Option<&Services>, number: u32) -> anyhow::Result<String> {
    match services {
        Some(services) => services.create_database(number).await,
        None => Ok(String::new()),
    }
}

fn settings(args: &Args) -> Vec<Setting> {
    let mut settings = Vec::new();
    for &backend in &args.backend {
        for &in_flight in &args.in_flight {
            for &refused_percent in &args.refused {
                for &repeated_percent in &args.repeated {
                    for &replicas in &args.replicas {
                        let is_plain = refused_percent == 0 && repeated_percent == 0;
                        let is_shared = backend == Backend::Amqp && in_flight >= SHARED_FROM && is_plain;
                        if (replicas == 1 || is_shared) && (refused_percent == 0 || repeated_percent == 0) {
                            settings.push(Setting {
                                backend,
                                in_flight,
                                refused_percent,
                                repeated_percent,
                                replicas,
                                warm_up_seconds: args.warm_up,
                                seconds: args.seconds,
                            });
                        }
                    }
                }
            }
        }
    }
    settings
}

fn progress(run: &versus::Run) -> String {
    let Setting { backend, in_flight, refused_percent, repeated_percent, replicas, .. } = run.setting;
    let (contender, round, rate) = (run.contender, run.round, run.seen.sagas_per_second);
    format!(
        "{round} {backend:?} {in_flight} {refused_percent} % {repeated_percent} % {contender:?} x{replicas}: {rate:.0}/s"
    )
}
