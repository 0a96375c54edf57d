//! `snorri rotate-keys`: rotates the key of the correlation tokens that commands carry and replies echo.

use clap::Args as ClapArgs;

use crate::cli::failure::{EXIT_CODES, Failure};
use crate::cli::output::{self, Format};
use crate::cli::remote::Remote;
use snorri_api::interventions::ReasonBody;
use snorri_api::records::TokenKey;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
The new key is used after a minute, when every process has loaded it. Replies to commands of the previous key are accepted
until the next rotation; those of older keys are rejected.

Examples:
  snorri rotate-keys --reason 'yearly rotation'

{EXIT_CODES}"))]
pub struct Args {
    /// The reason, for the audit log
    #[arg(long, short, value_name = "TEXT")]
    reason: String,
    /// The person on whose behalf you act, if not the owner of the token
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
            output::line(&format!("key {} is used from {}", key.number, output::time(&key.signs_from)))
        }
    }
}
