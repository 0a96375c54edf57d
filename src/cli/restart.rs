//! `snorri restart`: a new saga that goes on where one that has ended is to begin again.

use clap::Args as ClapArgs;
use reqwest::Method;

use super::failure::{EXIT_CODES, Failure};
use super::output::{self, Format};
use super::remote::Remote;
use super::target::Target;
use crate::api::interventions::RestartBody;
use crate::api::sagas::Started;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Only for a saga that has ended. The outputs of the steps before are taken over, and what they did is the new saga's to undo.

Examples:
  snorri restart order/o-17 --from ship --reason 'the address was wrong'

{EXIT_CODES}"))]
pub struct Args {
    /// The saga: its id, or DEFINITION/KEY
    saga: Target,
    /// The first step that is to run again, outside of any block
    #[arg(long, value_name = "STEP")]
    from: String,
    /// Why, for the journal and the audit
    #[arg(long, short, value_name = "TEXT")]
    reason: String,
    /// Who wants it, if that is not who the token says
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only if the saga still has this many journal entries
    #[arg(long, value_name = "SEQ")]
    if_match: Option<u32>,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let actor = session.actor(args.actor.as_deref()).await?;
    let body = RestartBody { from: args.from, reason: args.reason, actor };
    let id = args.saga.segment();
    let mut request = session.client.request(Method::POST, &["sagas", &id, "restart"]).json(&body);
    if let Some(seq) = args.if_match {
        request = request.header("if-match", format!("\"{seq}\""));
    }
    let answer = session.client.answer(request).await?;
    if session.format == Format::Json {
        output::raw(&answer.text)?;
    } else {
        let started: Started = answer.read()?;
        output::line(&format!("a new saga goes on from `{}`: {}", body.from, started.id))?;
        output::line(&format!("follow it: snorri watch {}{}", started.id, session.flags))?;
    }
    Ok(())
}
