//! What is told to the outside about the inside: logs and spans. Payloads are never logged.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`log.filter` is not a filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging is set up already")]
    AlreadySet,
}

/// Sends logs to standard error, for the rest of the process's life. Nothing is heard from `silenced` targets, whatever the
/// filter says.
pub fn init(options: &Log, silenced: &[&str]) -> Result<(), Error> {
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter(options, silenced)?).with_writer(std::io::stderr);
    let set = match options.format {
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    set.map_err(|_| Error::AlreadySet)
}

/// What `options` let through, without the `silenced` targets.
pub fn filter(options: &Log, silenced: &[&str]) -> Result<EnvFilter, Error> {
    let mut filter = EnvFilter::builder().parse(&options.filter)?;
    for target in silenced {
        filter = filter.add_directive(format!("{target}=off").parse()?);
    }
    Ok(filter)
}
