//! `snorri dead-letters --parked`: lists the messages of the parking queue.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use comfy_table::Cell;

use crate::cli::definition::topology;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format, tame};
use snorri_broker::management::ParkedMessage;
use snorri_core::Time;
use snorri_wire::topology::Names;

/// Maximum number of listed messages.
const LIMIT: u32 = 100;
const HEADING: &str = "Parked messages";

#[derive(Debug, ClapArgs)]
#[group(skip)]
pub struct Args {
    /// List the messages of the parking queue instead: each ended a connection or a process whenever it was delivered. They
    /// are read through the management API of RabbitMQ, and stay in the queue
    #[arg(long, help_heading = HEADING)]
    parked: bool,
    /// The URL of the management API; default: port 15672 on the host of the configured broker
    #[arg(long, help_heading = HEADING, value_name = "URL", requires = "parked", env = "SNORRI_MANAGEMENT_URL", hide_env_values = true)]
    management_url: Option<String>,
    /// The configuration of `snorri serve` (TOML), with the broker and the virtual host
    #[arg(long, help_heading = HEADING, value_name = "FILE", requires = "parked")]
    config: Option<PathBuf>,
}

impl Args {
    pub async fn list(&self, format: Format) -> Result<(), Failure> {
        if !self.parked {
            return Err(Failure::Usage("`snorri dead-letters` needs a subcommand or `--parked`".to_owned()));
        }
        let (management, broker) = topology::open(self.config.as_deref(), self.management_url.as_deref())?;
        let queue = Names::new(&broker.prefix).parked;
        let messages = management.parked(&queue, LIMIT).await?;
        match format {
            Format::Json => output::json(&messages),
            Format::Table if messages.is_empty() => {
                anstream::eprintln!("no parked messages in `{queue}`");
                Ok(())
            }
            Format::Table => {
                let header = ["suspected since", "queue", "message id", "type", "bytes", "body"];
                output::print(&output::table(&header, messages.iter().map(row).collect()))
            }
        }
    }
}

fn row(message: &ParkedMessage) -> Vec<Cell> {
    let since = message.suspected_at().map(|seconds| Time(seconds.saturating_mul(1_000)));
    let since = since.map(|time| output::time(&time.to_rfc3339_seconds()));
    let text = |name: &str| message.properties[name].as_str().map(tame);
    vec![
        output::maybe(since.as_ref()),
        output::maybe(message.queue().map(tame).as_ref()),
        output::maybe(text("message_id").as_ref()),
        output::maybe(text("type").as_ref()),
        Cell::new(message.payload_bytes),
        Cell::new(output::brief(&message.payload.clone().into(), 60)),
    ]
}
