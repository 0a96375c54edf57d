//! `snorri signal`: sends a signal to a saga.

use clap::Args as ClapArgs;
use reqwest::Method;

use crate::cli::failure::{EXIT_CODES, Failure};
use crate::cli::output::{self, Format};
use crate::cli::remote::Remote;
use crate::cli::saga::interventions::{json, render_outcome};
use crate::cli::saga::target::Target;
use snorri_api::interventions::{Intervened, SignalQuery};

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
A signal that arrives before the saga waits for it is kept.

Examples:
  snorri signal payment/p-3 approved
  snorri signal payment/p-3 approved --payload '{{\"by\": \"ann\"}}' --idempotency-key approval-of-p-3

{EXIT_CODES}"))]
pub struct Args {
    /// The saga: its id, or DEFINITION/KEY
    saga: Target,
    /// The name of the signal, as in `wait` of the definition
    name: String,
    /// The payload, as JSON
    #[arg(long, value_name = "JSON", default_value = "null", hide_default_value = true)]
    payload: String,
    /// Identifies repeated requests of the same signal
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Show the result, and change nothing
    #[arg(long)]
    preview: bool,
    /// Apply only if the saga still has this number of journal entries
    #[arg(long, value_name = "SEQ")]
    if_match: Option<u32>,
    /// The reason, for the audit log
    #[arg(long, short, value_name = "TEXT")]
    reason: Option<String>,
    /// The person on whose behalf you act, if not the owner of the token
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let payload = json("the payload", &args.payload)?;
    let id = args.saga.segment();
    let path = ["sagas", &id, "signals", &args.name];
    let actor = session.actor(args.actor.as_deref()).await?;
    let query = SignalQuery { preview: args.preview, reason: args.reason, actor };
    let mut request = session.client.request(Method::POST, &path).query(&query).json(&payload);
    if let Some(seq) = args.if_match {
        request = request.header("if-match", format!("\"{seq}\""));
    }
    if let Some(key) = &args.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let answer = session.client.answer(request).await?;
    if session.format == Format::Json {
        output::json_text(&answer.text)?;
    } else {
        let after: Intervened = answer.read()?;
        output::print(&render_outcome(&after, &session.flags))?;
    }
    Ok(())
}
