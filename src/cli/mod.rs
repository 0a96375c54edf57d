//! The command line: one file for each subcommand, or for a few of the same kind.
//!
//! `client` speaks to the admin API, `remote` says to which one, `sources` reads definitions from files, `output` shows what
//! there is to say, and `failure` is what went wrong, with the exit code.

pub mod audit;
pub mod bulk;
pub mod check;
pub mod client;
pub mod completions;
pub mod config;
pub mod dead_letters;
pub mod definitions;
pub mod demo;
pub mod diff;
pub mod explain;
pub mod failure;
pub mod graph;
pub mod interventions;
pub mod list;
pub mod live;
pub mod migrate;
mod named;
pub mod output;
mod parked;
mod profile;
pub mod remote;
pub mod restart;
pub mod rotate_keys;
pub mod sarif;
pub mod schema;
pub mod serve;
pub mod show;
pub mod signal;
pub mod simulate;
pub mod sources;
pub mod start;
pub mod story;
pub mod target;
pub mod test;
pub mod token;
pub mod top;
pub mod wait;
pub mod watch;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::crypto;
use failure::Outcome;
use interventions::examples;

/// Sagas over RabbitMQ that undo themselves.
#[derive(Debug, Parser)]
#[command(name = "snorri", version, about, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  snorri demo                                     see it work, with nothing installed
  snorri check                                    what is wrong in the definitions of sagas/, and what they can end in
  snorri test                                     run the scenarios beside them
  snorri serve --definitions sagas                orchestrate
  snorri list --status stuck                      what waits for somebody
  snorri show order/o-17                          why, and what can be done about it
  snorri retry order/o-17 --reason '…' --preview  what that would do

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused, 5 not allowed, 6 the server does not answer.
`wait`, `diff`, `test` and `check --live` have some of their own.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the order saga with demo participants; nothing needs to be installed
    Demo(demo::Args),
    /// Check definitions: all that is wrong in them, and everything that can happen to their sagas
    Check(check::Args),
    /// Run the scenarios beside definitions, in virtual time
    Test(test::Args),
    /// Draw a definition: its steps, how they are undone, and where there is no way back
    Graph(graph::Args),
    /// Tell what a new version of a definition changes, and whom that breaks
    Diff(diff::Args),
    /// Run thousands of sagas in virtual time, with participants that fail as often as you say
    Simulate(Box<simulate::Args>),
    /// Tell what a code means, such as E0303, and what to do about it
    Explain(explain::Args),
    /// Print the JSON Schema of definitions, for editors
    Schema(schema::Args),
    /// Orchestrate the sagas of a directory until told to stop
    Serve(serve::Args),
    /// Make a token for the admin API
    Token(token::Args),
    /// Look at configurations
    Config(config::Args),
    /// Print what a shell needs to complete commands
    Completions(completions::Args),

    /// Start a saga, or as many as a file has lines
    Start(start::Args),
    /// List sagas
    List(list::Args),
    /// Tell the story of a saga: what it waits for, its steps, its incidents and what can be done, its journal
    Show(show::Args),
    /// Tell what happens, as it happens
    Watch(watch::Args),
    /// Wait until a saga has ended
    Wait(wait::Args),
    /// An overview that stays up to date, in the terminal
    Top(top::Args),

    /// Roll back a saga that runs
    #[command(after_help = examples("cancel order/o-17", "the customer changed his mind"))]
    Cancel(interventions::Plain),
    /// Let nothing go on in a saga, timers included
    #[command(after_help = examples("pause order/o-17", "the warehouse burns"))]
    Pause(interventions::Plain),
    /// Let a paused saga go on
    #[command(after_help = examples("resume order/o-17", "the fire is out"))]
    Resume(interventions::Plain),
    /// Try again what a stuck saga is held by
    #[command(after_help = examples("retry order/o-17 --step ship", "the carrier is back"))]
    Retry(interventions::OfStep),
    /// Say by hand what became of a step of a stuck saga
    Resolve(interventions::Resolve),
    /// Let a stuck saga pass over what it is held by
    #[command(after_help = examples("skip order/o-17 --step receipt", "printed by hand"))]
    Skip(interventions::OfStep),
    /// Roll back a stuck saga
    #[command(after_help = examples("rollback order/o-17", "the carrier is gone for good"))]
    Rollback(interventions::Plain),
    /// Grant a saga its limits once more, before what they hold is retried
    #[command(after_help = examples("raise-limits payout/o-17", "a thousand people, as agreed"))]
    RaiseLimits(interventions::Plain),
    /// Give up a stuck saga as it is
    #[command(after_help = examples("abandon order/o-17", "settled by phone"))]
    Abandon(interventions::Plain),
    /// Start a new saga that goes on from a step of one that has ended
    Restart(restart::Args),
    /// Tell a saga what it waits for
    Signal(signal::Args),
    /// Let a saga go on with another version of its definition
    Migrate(migrate::Args),
    /// Do the same to many sagas, after a dry run
    Bulk(bulk::Args),

    /// Which sagas can be started, and bringing new ones
    Definitions(definitions::Args),
    /// The messages that nothing could be made of
    DeadLetters(dead_letters::Args),
    /// Replace the key that replies are authenticated with
    RotateKeys(rotate_keys::Args),
    /// Who changed what by hand, and why
    Audit(audit::Args),
}

impl Cli {
    pub async fn run(self) -> ExitCode {
        crypto::install();
        dispatch(self.command).await.unwrap_or_else(|failure| {
            failure.print();
            failure.exit_code()
        })
    }
}

async fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(args).await?,
        Command::Graph(args) => graph::run(args)?,
        Command::Diff(args) => return Ok(diff::run(&args)),
        Command::Simulate(args) => simulate::run(&args)?,
        Command::Explain(args) => explain::run(&args)?,
        Command::Schema(args) => schema::run(&args)?,
        Command::Serve(args) => serve::run(args).await?,
        Command::Token(args) => token::run(&args)?,
        Command::Check(args) => return check::run(args).await,
        Command::Test(args) => return test::run(&args),
        Command::Config(args) => config::run(args).await?,
        Command::Completions(args) => completions::run(&args)?,
        Command::Start(args) => return start::run(args).await,
        Command::List(args) => list::run(args).await?,
        Command::Show(args) => show::run(args).await?,
        Command::Watch(args) => watch::run(args).await?,
        Command::Wait(args) => return wait::run(args).await,
        Command::Top(args) => top::run(args).await?,
        Command::Cancel(args) => interventions::plain(args, "cancel").await?,
        Command::Pause(args) => interventions::plain(args, "pause").await?,
        Command::Resume(args) => interventions::plain(args, "resume").await?,
        Command::Retry(args) => interventions::of_step(args, "retry").await?,
        Command::Resolve(args) => interventions::resolve(args).await?,
        Command::Skip(args) => interventions::of_step(args, "skip").await?,
        Command::Rollback(args) => interventions::plain(args, "roll-back").await?,
        Command::RaiseLimits(args) => interventions::plain(args, "raise-limits").await?,
        Command::Abandon(args) => interventions::plain(args, "abandon").await?,
        Command::Restart(args) => restart::run(args).await?,
        Command::Signal(args) => signal::run(args).await?,
        Command::Migrate(args) => return migrate::run(args).await,
        Command::Bulk(args) => return bulk::run(args).await,
        Command::Definitions(args) => return definitions::run(args).await,
        Command::DeadLetters(args) => dead_letters::run(args).await?,
        Command::RotateKeys(args) => rotate_keys::run(args).await?,
        Command::Audit(args) => audit::run(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a text and a line's end.
fn print(text: &str) -> anyhow::Result<()> {
    // Whoever reads it may have read enough.
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
