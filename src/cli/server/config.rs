//! `snorri config check`: validates the configuration of `snorri serve`, without starting it.

use std::path::PathBuf;

use anstyle::AnsiColor;
use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};

use crate::cli::color::paint;
use crate::cli::definition::sources::{self, Loaded};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::config::{self as settings, Config};
use crate::{http, telemetry};
use snorri_verify::model_check::Bounds;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Reads all layers as `snorri serve` does: the defaults, the file, the environment (SNORRI__DATABASE__URL, ...). Opens no
connections, except to fetch the keys of `[http.auth.jwt]` from a URL.

Exit codes: 0 valid, 1 not valid.

Examples:
  snorri config check --config /etc/snorri/snorri.toml")]
pub struct Args {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Validate the configuration of `serve`
    Check {
        /// A configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The directory of the definitions
        #[arg(long, value_name = "DIRECTORY")]
        definitions: Option<String>,
    },
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let ConfigAction::Check { config: file, definitions } = args.action;
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

/// Checks all definitions and returns their number.
fn definitions_of(config: &Config) -> Result<u64, Failure> {
    let directory = &config.definitions.directory;
    let asked_for = snorri_definition::read_directory(directory)
        .with_context(|| format!("cannot read the definitions in {}", directory.display()))?;
    let loaded = Loaded { asked_for, neighbours: Vec::new() };
    let checked = tokio::task::block_in_place(|| sources::checked(&loaded, &Bounds::default()));
    sources::report(&checked)?;
    Ok(checked.len() as u64)
}
