//! The `snorri` program: parses its arguments and hands over.

use std::convert::Infallible;
use std::env;
use std::num::NonZeroUsize;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Parser;
use snorri::cli::Cli;

/// The size of the stacks of threads, for the standard library.
const STACK_VARIABLE: &str = "RUST_MIN_STACK";
/// A frame of RabbitMQ (128 KiB by default) may have 22,000 tables within each other, and the client reads, copies and drops
/// them recursively. Only what is used of a stack takes memory.
const STACK_BYTES: usize = 256 << 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if env::var_os(STACK_VARIABLE).is_none() {
        let Err(error) = start_again_with_stacks();
        eprintln!("warning: a message with deeply nested headers can end this process: {error}");
    }
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

/// Runs this program in place of itself, with stacks that any frame fits in. lapin starts its threads itself, and leaves the
/// size of their stacks to the environment, which cannot be changed from within once it was read.
fn start_again_with_stacks() -> Result<Infallible, std::io::Error> {
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_default();
    let program = env::current_exe()?;
    Err(Command::new(program).arg0(name).args(arguments).env(STACK_VARIABLE, STACK_BYTES.to_string()).exec())
}
