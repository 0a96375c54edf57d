//! The command line: one file for each subcommand, or for a few similar ones.
//!
//! `client` calls the admin API, `remote` selects the server, `sources` reads definitions from files, `output` prints results,
//! `failure` prints errors and has the exit codes, and `color` has the colours of both.

pub mod client;
pub mod color;
mod completions;
pub mod definition;
pub mod failure;
pub mod output;
mod profile;
pub mod remote;
pub mod saga;
pub mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::crypto;
use failure::CommandResult;
use saga::interventions::examples;

/// A saga orchestrator for RabbitMQ.
#[derive(Debug, Parser)]
#[command(name = "snorri", version, about, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  snorri demo                                     run a demo, without any installation
  snorri check                                    check the definitions in sagas/, and list the outcomes of their sagas
  snorri test                                     run the scenarios of the definitions in sagas/
  snorri serve --definitions sagas                run the orchestrator
  snorri list --status stuck                      list the sagas that wait for an operator
  snorri show order/o-17                          show why, and the possible interventions
  snorri retry order/o-17 --reason '…' --preview  show the result of a retry

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused, 5 not allowed, 6 the server does not answer.
`wait`, `diff`, `test` and `check --topology` have further exit codes.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the order saga with demo participants, without any installation
    Demo(server::demo::Args),
    /// Check definitions, and list all possible outcomes of their sagas
    Check(definition::check::Args),
    /// Run the scenarios of definitions in virtual time
    Test(definition::test::Args),
    /// Draw a definition: its steps, their compensations, and the pivot
    Graph(definition::graph::Args),
    /// Compare two versions of a definition, and mark breaking changes
    Diff(definition::diff::Args),
    /// Run thousands of sagas in virtual time, with configurable failure rates of participants
    Simulate(Box<definition::simulate::Args>),
    /// Explain a code of a diagnostic, such as E0303
    Explain(definition::explain::Args),
    /// Print the JSON Schema of definitions, for editors
    Schema(definition::schema::Args),
    /// Run the orchestrator until SIGTERM or Ctrl-C
    Serve(server::serve::Args),
    /// Create a token for the admin API
    Token(server::token::Args),
    /// Check configurations
    Config(server::config::Args),
    /// Print the completion script of a shell
    Completions(completions::Args),

    /// Start a saga, or one for each line of a file
    Start(saga::start::Args),
    /// List sagas
    List(saga::list::Args),
    /// Show a saga: what it waits for, its incidents and possible interventions, its steps, its journal
    Show(saga::show::Args),
    /// Follow the journals of sagas
    Watch(saga::watch::Args),
    /// Wait until a saga has ended
    Wait(saga::wait::Args),
    /// Show a live overview in the terminal
    Top(saga::top::Args),

    /// Roll back a running saga
    #[command(after_help = examples("cancel order/o-17", "the customer changed his mind"))]
    Cancel(saga::interventions::Plain),
    /// Pause a saga, including its timers
    #[command(after_help = examples("pause order/o-17", "the warehouse burns"))]
    Pause(saga::interventions::Plain),
    /// Resume a paused saga
    #[command(after_help = examples("resume order/o-17", "the fire is out"))]
    Resume(saga::interventions::Plain),
    /// Retry held steps of a stuck saga
    #[command(after_help = examples("retry order/o-17 --step ship", "the carrier is back"))]
    Retry(saga::interventions::OfStep),
    /// Resolve the outcome of a held step by hand
    Resolve(saga::interventions::Resolve),
    /// Skip a held step of a stuck saga
    #[command(after_help = examples("skip order/o-17 --step receipt", "printed by hand"))]
    Skip(saga::interventions::OfStep),
    /// Roll back a stuck saga
    #[command(after_help = examples("rollback order/o-17", "the carrier is gone for good"))]
    Rollback(saga::interventions::Plain),
    /// Grant a saga its limits once more, before a retry of the held steps
    #[command(after_help = examples("raise-limits payout/o-17", "a thousand people, as agreed"))]
    RaiseLimits(saga::interventions::Plain),
    /// End a stuck saga in its current state
    #[command(after_help = examples("abandon order/o-17", "settled by phone"))]
    Abandon(saga::interventions::Plain),
    /// Start a new saga that continues an ended one from a step
    Restart(saga::restart::Args),
    /// Send a signal to a saga
    Signal(saga::signal::Args),
    /// Migrate a saga to another version of its definition
    Migrate(saga::migrate::Args),
    /// Apply an action to many sagas, after a dry run
    Bulk(saga::bulk::Args),

    /// List, register and compare definitions
    Definitions(definition::definitions::Args),
    /// List, replay and discard dead letters
    DeadLetters(server::dead_letters::Args),
    /// Rotate the key that authenticates replies
    RotateKeys(server::rotate_keys::Args),
    /// List the changes by operators
    Audit(server::audit::Args),
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

async fn dispatch(command: Command) -> CommandResult {
    match command {
        Command::Demo(args) => server::demo::run(args).await?,
        Command::Graph(args) => definition::graph::run(args)?,
        Command::Diff(args) => return Ok(definition::diff::run(&args)),
        Command::Simulate(args) => definition::simulate::run(&args)?,
        Command::Explain(args) => definition::explain::run(&args)?,
        Command::Schema(args) => definition::schema::run(&args)?,
        Command::Serve(args) => server::serve::run(args).await?,
        Command::Token(args) => server::token::run(&args)?,
        Command::Check(args) => return definition::check::run(args).await,
        Command::Test(args) => return definition::test::run(&args),
        Command::Config(args) => server::config::run(args).await?,
        Command::Completions(args) => completions::run(&args)?,
        Command::Start(args) => return saga::start::run(args).await,
        Command::List(args) => saga::list::run(args).await?,
        Command::Show(args) => saga::show::run(args).await?,
        Command::Watch(args) => saga::watch::run(args).await?,
        Command::Wait(args) => return saga::wait::run(args).await,
        Command::Top(args) => saga::top::run(args).await?,
        Command::Cancel(args) => saga::interventions::plain(args, "cancel").await?,
        Command::Pause(args) => saga::interventions::plain(args, "pause").await?,
        Command::Resume(args) => saga::interventions::plain(args, "resume").await?,
        Command::Retry(args) => saga::interventions::of_step(args, "retry").await?,
        Command::Resolve(args) => saga::interventions::resolve(args).await?,
        Command::Skip(args) => saga::interventions::of_step(args, "skip").await?,
        Command::Rollback(args) => saga::interventions::plain(args, "rollback").await?,
        Command::RaiseLimits(args) => saga::interventions::plain(args, "raise-limits").await?,
        Command::Abandon(args) => saga::interventions::plain(args, "abandon").await?,
        Command::Restart(args) => saga::restart::run(args).await?,
        Command::Signal(args) => saga::signal::run(args).await?,
        Command::Migrate(args) => return saga::migrate::run(args).await,
        Command::Bulk(args) => return saga::bulk::run(args).await,
        Command::Definitions(args) => return definition::definitions::run(args).await,
        Command::DeadLetters(args) => server::dead_letters::run(args).await?,
        Command::RotateKeys(args) => server::rotate_keys::run(args).await?,
        Command::Audit(args) => server::audit::run(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}
