//! The `snorri` program: parses its arguments and runs the command.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use snorri::cli::Cli;

/// Messages and journal entries are many small allocations, made by one thread and freed by another: a third of the time of the
/// process with the allocator of glibc. With this one the process takes a quarter less (1,000 sagas in flight).
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long busy threads may take when everything else has ended.
const LAST_WORK: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Nearly all time is spent on waiting for the broker and the database: more threads would mostly wake each other.
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = (cores / 2).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(cli.run());
            // A blocked thread, such as in a name lookup, must not delay the exit.
            runtime.shutdown_timeout(LAST_WORK);
            code
        }
        Err(error) => {
            eprintln!("error: cannot start threads: {error}");
            ExitCode::FAILURE
        }
    }
}
