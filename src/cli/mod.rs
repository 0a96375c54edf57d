//! The command line: one file for each subcommand.

pub mod demo;
pub mod diff;
pub mod schema;
pub mod serve;
pub mod story;
pub mod token;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::crypto;

/// Sagas over RabbitMQ that undo themselves.
#[derive(Debug, Parser)]
#[command(name = "snorri", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the order saga with demo participants; nothing needs to be installed
    Demo(demo::Args),
    /// Tell what a new version of a definition changes, and whom that breaks
    Diff(diff::Args),
    /// Print the JSON Schema of definitions, for editors
    Schema(schema::Args),
    /// Orchestrate the sagas of a directory until told to stop
    Serve(serve::Args),
    /// Make a token for the admin API
    Token(token::Args),
}

impl Cli {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        crypto::install();
        match self.command {
            Command::Demo(args) => demo::run(args).await?,
            Command::Diff(args) => return Ok(diff::run(&args)),
            Command::Schema(args) => schema::run(&args)?,
            Command::Serve(args) => serve::run(args).await?,
            Command::Token(args) => token::run(&args)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints a text and a line's end.
fn print(text: &str) -> anyhow::Result<()> {
    // Whoever reads it may have read enough.
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
