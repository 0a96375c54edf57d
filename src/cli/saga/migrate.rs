//! `snorri migrate`: migrates a saga to another version of its definition.

use std::process::ExitCode;

use anstyle::AnsiColor;
use clap::Args as ClapArgs;

use crate::cli::color::paint;
use crate::cli::failure::{CommandResult, EXIT_CODES, exit};
use crate::cli::output::{self, Format, tame};
use crate::cli::remote::Remote;
use crate::cli::saga::interventions::{How, request};
use snorri_api::interventions::{MigrateBody, Migration};

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
A preview reports whether the migration is safe, and if not, why: exit code 0 or 4. `snorri bulk migrate` migrates many sagas.

Examples:
  snorri migrate order/o-17 --to 2 --reason 'the new carrier' --preview
  snorri migrate order/o-17 --to 2 --reason 'the new carrier'

{EXIT_CODES}"))]
pub struct Args {
    #[command(flatten)]
    how: How,
    /// The version to migrate to
    #[arg(long, value_name = "VERSION")]
    to: u32,
    #[command(flatten)]
    remote: Remote,
}

pub async fn run(args: Args) -> CommandResult {
    let session = args.remote.open()?;
    let actor = session.actor(args.how.actor.as_deref()).await?;
    let body = MigrateBody { version: args.to, reason: args.how.reason.clone(), actor };
    let answer = session.client.answer(request(&session, &args.how, "migrate", &body)).await?;
    let migration: Migration = answer.read()?;
    match session.format {
        Format::Json => output::json_text(&answer.text)?,
        Format::Table => output::print(&render_migration(&migration))?,
    }
    Ok(if migration.safe { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

fn render_migration(migration: &Migration) -> String {
    let versions = format!("version {} → {}", migration.from, migration.to);
    let verdict = match (migration.safe, migration.preview) {
        (true, true) => paint(AnsiColor::Green, "safe; nothing was changed"),
        (true, false) => paint(AnsiColor::Green, &format!("done, at entry {}", migration.seq)),
        (false, _) => paint(AnsiColor::Red, "blocked; nothing was changed"),
    };
    let mut text = format!("{versions}: {verdict}\n");
    for blocked in &migration.blocked {
        let step = blocked.step.as_deref().map(|step| format!("{step}: ")).unwrap_or_default();
        text += &format!(
            "  {} {step}{} ({})\n",
            paint(AnsiColor::Red, "✗"),
            tame(&blocked.message),
            blocked.code
        );
    }
    text
}
