//! `snorri restart`: a new saga that goes on where one that has ended is to begin again.

use anstyle::AnsiColor;
use clap::Args as ClapArgs;

use super::failure::{EXIT_CODES, Failure};
use super::interventions::{How, request, told};
use super::output::{self, Format, tame};
use super::remote::Remote;
use super::story::paint;
use crate::api::interventions::{RestartBody, Restarted};

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Only for a saga that has ended. The outputs of the steps before are taken over, and what they did is the new saga's to undo.

Examples:
  snorri restart order/o-17 --from ship --reason 'the address was wrong' --preview
  snorri restart order/o-17 --from ship --repeat-completed --reason 'the parcel was lost'

{EXIT_CODES}"))]
pub struct Args {
    /// The first step that is to run again, outside of any block
    #[arg(long, value_name = "STEP")]
    from: String,
    /// Do steps again that completed and were not undone
    #[arg(long)]
    repeat_completed: bool,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let actor = session.actor(args.how.actor.as_deref()).await?;
    let body = RestartBody {
        from: args.from,
        repeat_completed: args.repeat_completed,
        reason: args.how.reason.clone(),
        actor,
    };
    let answer = session.client.answer(request(&session, &args.how, "restart", &body)).await?;
    if session.format == Format::Json {
        output::json_text(&answer.text)?;
    } else {
        let Restarted { id, begun, repeats, .. } = answer.read()?;
        if !repeats.is_empty() {
            let steps = tame(&repeats.join(", "));
            let warning = paint(AnsiColor::Yellow, "warning:");
            anstream::eprintln!(
                "{warning} completed before, and done again with another message id: {steps}"
            );
        }
        output::line(&format!("a new saga goes on from `{}`: {id}", body.from))?;
        output::print(&told(&begun, &session.flags))?;
    }
    Ok(())
}
