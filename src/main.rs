//! The `snorri` program: parses its arguments and hands over.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use snorri::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Nearly all time is spent waiting for the broker and the database: more threads would mostly wake each other.
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = (cores / 2).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => {
            eprintln!("error: this process gets no threads: {error}");
            ExitCode::FAILURE
        }
    }
}
