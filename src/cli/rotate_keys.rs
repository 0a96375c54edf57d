//! `snorri rotate-keys`: a new key for the tokens that commands carry and replies echo.

use clap::Args as ClapArgs;

use super::failure::{EXIT_CODES, Failure};
use super::output::{self, Format};
use super::remote::Remote;
use crate::api::interventions::ReasonBody;
use crate::api::records::TokenKey;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
The new key signs a minute later, when every process knows it. Replies to commands of the key before it count until the next
rotation; those of the key before that count no more.

Examples:
  snorri rotate-keys --reason 'yearly rotation'

{EXIT_CODES}"))]
pub struct Args {
    /// Why, for the audit
    #[arg(long, short, value_name = "TEXT")]
    reason: String,
    /// Who wants it, if that is not who the token says
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let actor = session.actor(args.actor.as_deref()).await?;
    let body = ReasonBody { reason: args.reason, actor };
    let answer = session.client.post(&["token-keys"], &body).await?;
    match session.format {
        Format::Json => output::raw(&answer.text),
        Format::Table => {
            let key: TokenKey = answer.read()?;
            output::line(&format!("key {} signs from {} on", key.number, output::time(&key.signs_from)))
        }
    }
}
