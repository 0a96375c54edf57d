//! The `snorri` program: parses its arguments and hands over.

use clap::Parser;
use snorri::cli::Cli;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Cli::parse().run().await
}
