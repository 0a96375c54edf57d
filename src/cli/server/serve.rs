//! `snorri serve`: runs the orchestrator until SIGTERM or Ctrl-C.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args as ClapArgs;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Flag};
use crate::{app, telemetry};
use snorri_broker::amqp;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The default configuration documents every setting: snorri serve --print-config

Examples:
  snorri serve --config /etc/snorri/snorri.toml
  SNORRI__BROKER__URL=amqps://user:secret@mq.example/orders snorri serve --definitions sagas")]
pub struct Args {
    /// A configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of the definitions
    #[arg(long, value_name = "DIRECTORY")]
    definitions: Option<String>,
    /// The URL of RabbitMQ
    #[arg(long, value_name = "URL")]
    amqp_url: Option<String>,
    /// The URL of the database
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// The address of the admin API
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How long to wait for a database or broker that does not answer: `30s`, `0`, `forever`
    #[arg(long, value_name = "DURATION")]
    wait_for: Option<String>,
    /// Print the default configuration and exit
    #[arg(long)]
    print_config: bool,
}

impl Args {
    fn flags(&self) -> Vec<Flag> {
        let flags = [
            ("definitions.directory", &self.definitions),
            ("broker.url", &self.amqp_url),
            ("database.url", &self.database_url),
            ("http.listen", &self.listen),
            ("startup.wait_for", &self.wait_for),
        ];
        flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

pub async fn run(args: Args) -> anyhow::Result<()> {
    if args.print_config {
        print!("{}", config::DEFAULT);
        return Ok(());
    }
    let config = config::load(args.config.as_deref(), args.flags())?;
    telemetry::init(&config.log, &[amqp::LOGS_PAYLOADS])?;
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone())?);
    app::serve(&config, stop).await
}

/// The first signal starts an orderly shutdown; the second one, or a drain that takes too long, ends the process. SIGHUP, which
/// a closed terminal sends, is ignored.
pub(in crate::cli) fn cancel_on_signal(stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let hang_up = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    Ok(async move {
        // While this exists, the signal does not end the process.
        let _hang_up = hang_up;
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.cancel();
        tokio::select! {
            _ = terminate.recv() => {},
            _ = interrupt.recv() => {},
            () = tokio::time::sleep(app::DRAIN_LIMIT) => {},
        }
        tracing::warn!("stopping with unfinished work; nothing is lost");
        std::process::exit(1);
    })
}
