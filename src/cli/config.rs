//! `snorri config check`: whether `snorri serve` would take a configuration, without starting anything.

use std::path::PathBuf;

use anstyle::AnsiColor;
use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};

use super::failure::Failure;
use super::output;
use super::sources::{self, Loaded};
use super::story::paint;
use crate::catalog;
use crate::config::{self as settings, Config};
use crate::proof::Bounds;
use crate::{http, telemetry};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Reads all layers as `snorri serve` does: the defaults, the file, the environment (SNORRI__DATABASE__URL, ...). Nothing is
connected to, but for the keys of `[http.auth.jwt]` if they are at a URL.

Exit codes: 0 valid, 1 not.

Examples:
  snorri config check --config /etc/snorri/snorri.toml")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell whether `serve` would take this configuration
    Check {
        /// A configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Where the definitions are
        #[arg(long, value_name = "DIRECTORY")]
        definitions: Option<String>,
    },
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let Action::Check { config: file, definitions } = args.action;
    let flags = definitions.map(|directory| ("definitions.directory", directory)).into_iter().collect();
    let config = settings::load(file.as_deref(), flags).map_err(anyhow::Error::from)?;
    telemetry::filter(&config.log, &[]).map_err(anyhow::Error::from)?;
    http::Server::prepare(&config.http).await.map_err(anyhow::Error::from)?;
    let ready = definitions_of(&config)?;
    let sign = paint(AnsiColor::Green, "✓");
    output::line(&format!(
        "{sign} the configuration is valid, with {}",
        output::counted(ready, "definition")
    ))?;
    Ok(())
}

/// How many definitions there are, if `serve` would take them all.
fn definitions_of(config: &Config) -> Result<u64, Failure> {
    let directory = &config.definitions.directory;
    let asked_for = catalog::read_directory(directory)
        .with_context(|| format!("cannot read the definitions in {}", directory.display()))?;
    let loaded = Loaded { asked_for, beside: Vec::new() };
    let checked = tokio::task::block_in_place(|| sources::checked(&loaded, &Bounds::default()));
    sources::report(&checked)?;
    Ok(checked.len() as u64)
}
