//! `snorri config check`: whether `snorri serve` would take a configuration, without starting anything.

use std::path::PathBuf;

use anstyle::AnsiColor;
use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};

use super::failure::Failure;
use super::output;
use super::story::paint;
use crate::catalog::{self, Source};
use crate::config::{self as settings, Config};
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

/// How many definitions there are; all that is wrong with them is told.
fn definitions_of(config: &Config) -> Result<u64, Failure> {
    let directory = &config.definitions.directory;
    let sources = catalog::read_directory(directory)
        .with_context(|| format!("cannot read the definitions in {}", directory.display()))?;
    let (mut ready, mut wrong) = (0, 0);
    for Source { path, text, files } in sources {
        match catalog::compile_with(&path.display().to_string(), &text, &files) {
            Ok(_) => ready += 1,
            Err(diagnostics) => {
                wrong += 1;
                anstream::eprint!("{}", diagnostics.pretty());
            }
        }
    }
    match wrong {
        0 => Ok(ready),
        wrong => Err(anyhow::anyhow!("{} not valid", output::counted(wrong, "definition")).into()),
    }
}
