//! `snorri restart`: starts a new saga that continues an ended one from a step.

use anstyle::AnsiColor;
use clap::Args as ClapArgs;

use crate::cli::color::paint;
use crate::cli::failure::{EXIT_CODES, Failure};
use crate::cli::output::{self, Format, tame};
use crate::cli::remote::Remote;
use crate::cli::saga::interventions::{How, render_outcome, request};
use snorri_api::interventions::{RestartBody, Restarted};

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Only for an ended saga. The new saga inherits the outputs of the earlier steps, and the responsibility for their compensation.

Examples:
  snorri restart order/o-17 --from ship --reason 'the address was wrong' --preview
  snorri restart order/o-17 --from ship --repeat-completed --reason 'the parcel was lost'

{EXIT_CODES}"))]
pub struct Args {
    /// The first step to run again; it must not be inside a block
    #[arg(long, value_name = "STEP")]
    from: String,
    /// Repeat steps that completed and were not compensated
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
            anstream::eprintln!("{warning} completed steps run again with another message id: {steps}");
        }
        output::line(&format!("a new saga continues from `{}`: {id}", body.from))?;
        output::print(&render_outcome(&begun, &session.flags))?;
    }
    Ok(())
}
