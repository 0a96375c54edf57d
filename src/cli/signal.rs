//! `snorri signal`: tells a saga what it waits for.

use clap::Args as ClapArgs;
use reqwest::Method;

use super::failure::{EXIT_CODES, Failure};
use super::interventions::{json, told};
use super::output::{self, Format};
use super::remote::Remote;
use super::target::Target;
use crate::api::interventions::{Intervened, SignalQuery};

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
    /// Tell what would follow, and change nothing
    #[arg(long)]
    preview: bool,
    /// Only if the saga still has this many journal entries
    #[arg(long, value_name = "SEQ")]
    if_match: Option<u32>,
    /// Why, for the audit
    #[arg(long, short, value_name = "TEXT")]
    reason: Option<String>,
    /// Who wants it, if that is not who the token says
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
        output::print(&told(&after, &session.flags))?;
    }
    Ok(())
}
