//! What is told to the outside about the inside: logs and spans. Payloads are never logged.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{Log, LogFormat};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`log.filter` is not a filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging is set up already")]
    AlreadySet,
}

/// Sends logs to standard error, for the rest of the process's life.
pub fn init(options: &Log) -> Result<(), Error> {
    let filter = EnvFilter::builder().parse(&options.filter)?;
    // It would log returned messages, with their bodies.
    let filter = filter.add_directive("lapin::returned_messages=off".parse()?);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    let set = match options.format {
        LogFormat::Pretty => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    set.map_err(|_| Error::AlreadySet)
}
