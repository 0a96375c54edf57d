//! `snorri signal`: tells a saga what it waits for.

use clap::Args as ClapArgs;
use reqwest::Method;

use super::failure::{EXIT_CODES, Failure};
use super::interventions::json;
use super::output::{self, Format};
use super::remote::Remote;
use super::story::{color_of, paint};
use super::target::Target;
use crate::api::interventions::Signalled;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
A signal that comes before its wait is kept for it.

Examples:
  snorri signal payment/p-3 approved
  snorri signal payment/p-3 approved --payload '{{\"by\": \"ann\"}}' --idempotency-key approval-of-p-3

{EXIT_CODES}"))]
pub struct Args {
    /// The saga: its id, or DEFINITION/KEY
    saga: Target,
    /// The signal, as the definition's `wait` names it
    name: String,
    /// What it says, as JSON
    #[arg(long, value_name = "JSON", default_value = "null", hide_default_value = true)]
    payload: String,
    /// The same key is the same signal
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let payload = json(&args.payload)?;
    let id = args.saga.segment();
    let path = ["sagas", &id, "signals", &args.name];
    let mut request = session.client.request(Method::POST, &path).json(&payload);
    if let Some(key) = &args.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let answer = session.client.answer(request).await?;
    if session.format == Format::Json {
        output::raw(&answer.text)?;
    } else {
        let told: Signalled = answer.read()?;
        let status = paint(color_of(told.status), told.status.as_str());
        output::line(&format!("told; the saga is {status}, at entry {}", told.seq))?;
    }
    Ok(())
}
