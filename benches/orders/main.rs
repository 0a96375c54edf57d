//! `make bench`: how many order sagas a second Snorri runs, how fast, and what they cost, against a floor that does
//! nothing but move the same messages.
//!
//! This program plays every role but Snorri's, each in a process of its own (see [`process::Role`]); without one it
//! coordinates the others. In reading order:
//!
//! - [`wire`], [`amqp`]: the messages, and RabbitMQ on bare lapin
//! - [`participant`], [`load`], [`floor`]: the roles
//! - [`embedded`]: all of them within one process
//! - [`process`], [`measure`], [`services`]: starting them, and what they cost
//! - [`versus`], [`memory`], [`report`]: what is measured, and what it says

#![allow(clippy::cast_precision_loss, reason = "no run counts 2^52 of anything")]

mod amqp;
mod embedded;
mod floor;
mod load;
mod measure;
mod memory;
mod participant;
mod process;
mod report;
mod services;
mod versus;
mod wire;

use std::path::{Path, PathBuf};

use clap::Parser;

use memory::Memory;
use process::Role;
use report::Report;
use services::Services;
use versus::{Backend, Before, Contender, Run, Setting, Stage, start_participant};

/// Measures Snorri against the floor. After `cargo bench --bench orders --`.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure on; none for `--memory` alone
    #[arg(long, value_delimiter = ',', default_values = ["amqp", "embedded"], num_args = 0..)]
    backend: Vec<Backend>,
    /// Sagas under way at any moment
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 200, 1_000])]
    in_flight: Vec<usize>,
    /// Of a hundred orders, how many are refused and undone
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10, 100])]
    refused: Vec<u64>,
    /// How often to measure everything; medians are reported
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long each run is measured
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How long each run goes on before that
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Another build of `snorri`, to be measured in the same run on RabbitMQ: what it was before a change
    #[arg(long, value_name = "BINARY")]
    before: Option<PathBuf>,
    /// Whether to measure the memory of 100,000 waiting sagas, on RabbitMQ
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    memory: bool,
    /// Where the JSON goes
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench/orders.json"))]
    output: PathBuf,
    /// Play this role instead: for this program itself
    #[arg(long, hide = true)]
    role: Option<String>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(role) = &args.role {
        return serde_json::from_str::<Role>(role)?.play();
    }
    snorri::crypto::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(coordinate(&args))
}

/// Runs everything, and removes it again, also after a failure or Ctrl-C.
async fn coordinate(args: &Args) -> anyhow::Result<()> {
    let needs_services = args.memory || args.backend.contains(&Backend::Amqp);
    let services = if needs_services { Some(Services::from_env()?) } else { None };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut runs = Vec::new();
    let result = tokio::select! {
        memory = measure(args, services.as_ref(), &mut runs) => memory,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
    };
    if let Some(services) = &services {
        services.clean_up(2 * args.rounds).await?;
    }
    // What was measured before a failure is told all the same.
    let (memory, failure) = match result {
        Ok(memory) => (memory, None),
        Err(error) => (None, Some(error)),
    };
    let is_small = memory.as_ref().is_none_or(Memory::is_within_limit);
    let report = Report::new(runs, memory);
    report.write(&args.output)?;
    report.print();
    println!("\nAll of it: {}", args.output.display());
    if let Some(error) = failure {
        return Err(error);
    }
    anyhow::ensure!(is_small, "too much memory");
    Ok(())
}

async fn measure(
    args: &Args,
    services: Option<&Services>,
    runs: &mut Vec<Run>,
) -> anyhow::Result<Option<Memory>> {
    let participant = match services {
        Some(services) => Some(start_participant(services).await?),
        None => None,
    };
    // This saga alone, because another build may not know what the others say.
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
        let number_before = args.rounds + 1 + round;
        let before =
            if args.before.is_some() { database(services, number_before).await? } else { String::new() };
        let stage = stage(database(services, round).await?, before);
        for setting in settings(args) {
            // Side by side in time, because a machine's speed drifts; and in turns, because one disturbs the next.
            let mut contenders = vec![Contender::Floor, Contender::Snorri];
            if args.before.is_some() && setting.backend == Backend::Amqp {
                contenders.push(Contender::Before);
            }
            if round % 2 == 1 {
                contenders.reverse();
            }
            for contender in contenders {
                let run = stage.run(contender, round, setting).await?;
                eprintln!("{}", progress(&run));
                runs.push(run);
            }
        }
        if let Some(services) = services {
            services.drop_database(round).await?;
            services.drop_database(number_before).await?;
        }
    }
    match services {
        Some(services) if args.memory => {
            let stage = stage(database(Some(services), args.rounds).await?, String::new());
            Ok(Some(memory::run(&stage, services).await?))
        }
        _ => Ok(None),
    }
}

async fn database(services: Option<&Services>, number: u32) -> anyhow::Result<String> {
    match services {
        Some(services) => services.create_database(number).await,
        None => Ok(String::new()),
    }
}

fn settings(args: &Args) -> impl Iterator<Item = Setting> {
    let Args { seconds, warm_up: warm_up_seconds, .. } = *args;
    let settings = args.backend.iter().flat_map(move |backend| {
        args.in_flight.iter().flat_map(move |in_flight| {
            args.refused.iter().map(move |refused| (*backend, *in_flight, *refused))
        })
    });
    settings.map(move |(backend, in_flight, refused_percent)| Setting {
        backend,
        in_flight,
        refused_percent,
        warm_up_seconds,
        seconds,
    })
}

fn progress(run: &Run) -> String {
    let Setting { backend, in_flight, refused_percent, .. } = run.setting;
    let (contender, round, rate) = (run.contender, run.round, run.seen.sagas_per_second);
    format!("{round} {backend:?} {in_flight} {refused_percent} % {contender:?}: {rate:.0}/s")
}
