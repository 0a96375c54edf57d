//! `snorri wait`: waits until a saga has ended, for scripts.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use tokio::time::Instant;

use crate::cli::color::{color_of, paint};
use crate::cli::failure::{CommandResult, exit};
use crate::cli::output::{self, Format, tame};
use crate::cli::remote::Remote;
use crate::cli::saga::target::Target;
use snorri_api::sagas::{Saga, WaitQuery};
use snorri_core::Status;

/// How long one request waits.
const SLICE: Duration = Duration::from_secs(30);

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
A stuck saga has not ended, but cannot end without an operator, so the wait ends as well.

Exit codes: 0 completed, 10 compensated, 11 abandoned, 12 stuck, 13 not yet; 1 to 6 as in docs/cli.md.

Examples:
  snorri wait order/o-17
  snorri wait order/o-17 --timeout 30s || echo \"exit code $?\"
  snorri wait order/o-17 --output json | jq .output")]
pub struct Args {
    /// The saga: its id, or DEFINITION/KEY
    saga: Target,
    /// The maximum wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> CommandResult {
    let session = args.remote.open()?;
    let id = args.saga.segment();
    let began = Instant::now();
    loop {
        let left = args.timeout.saturating_sub(began.elapsed());
        let seconds = u32::try_from(left.min(SLICE).as_millis().div_ceil(1_000)).unwrap_or_default();
        let query = WaitQuery { timeout: Some(seconds), stuck: Some(true) };
        let answer = session.client.find(&["sagas", &id, "wait"], &query).await?;
        let saga: Saga = answer.read()?;
        let over = saga.ended || saga.status == Status::Stuck;
        if !over && began.elapsed() < args.timeout {
            continue;
        }
        match session.format {
            Format::Json => output::json_text(&answer.text)?,
            Format::Table => {
                let status = paint(color_of(saga.status), saga.status.as_str());
                let waits = if saga.ended { String::new() } else { format!("  {}", tame(&saga.waits_for)) };
                output::line(&format!("{status}{waits}"))?;
            }
        }
        return Ok(code(&saga));
    }
}

fn code(saga: &Saga) -> ExitCode {
    match saga.status {
        Status::Completed => ExitCode::SUCCESS,
        Status::Compensated => ExitCode::from(exit::COMPENSATED),
        Status::Abandoned => ExitCode::from(exit::ABANDONED),
        Status::Stuck => ExitCode::from(exit::STUCK),
        Status::Running | Status::Compensating => ExitCode::from(exit::NOT_YET),
    }
}
