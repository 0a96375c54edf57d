//! The `snorri` program: parses its arguments and hands over.

use std::num::NonZeroUsize;

use clap::Parser;
use snorri::cli::Cli;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    // Nearly all time is spent waiting for the broker and the database: more threads would mostly wake each other.
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads((cores / 2).max(1)).enable_all().build()?;
    runtime.block_on(cli.run())
}
