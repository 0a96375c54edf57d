//! The `snorri` program: parses its arguments, hands over, and tells what went wrong.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use snorri::cli::Cli;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Only the sentences: where in the source it happened helps nobody who runs this.
            eprintln!("error: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("  because: {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // Nearly all time is spent waiting for the broker and the database: more threads would mostly wake each other.
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = (cores / 2).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(cli.run())
}
