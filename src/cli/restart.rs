//! `snorri restart`: a new saga that goes on where one that has ended is to begin again.

use clap::Args as ClapArgs;

use super::failure::{EXIT_CODES, Failure};
use super::interventions::{How, request, told};
use super::output::{self, Format};
use super::remote::Remote;
use crate::api::interventions::{RestartBody, Restarted};

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Only for a saga that has ended. The outputs of the steps before are taken over, and what they did is the new saga's to undo.

Examples:
  snorri restart order/o-17 --from ship --reason 'the address was wrong' --preview

{EXIT_CODES}"))]
pub struct Args {
    /// The first step that is to run again, outside of any block
    #[arg(long, value_name = "STEP")]
    from: String,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let actor = session.actor(args.how.actor.as_deref()).await?;
    let body = RestartBody { from: args.from, reason: args.how.reason.clone(), actor };
    let answer = session.client.answer(request(&session, &args.how, "restart", &body)).await?;
    if session.format == Format::Json {
        output::json_text(&answer.text)?;
    } else {
        let Restarted { id, begun, .. } = answer.read()?;
        output::line(&format!("a new saga goes on from `{}`: {id}", body.from))?;
        output::print(&told(&begun, &session.flags))?;
    }
    Ok(())
}
