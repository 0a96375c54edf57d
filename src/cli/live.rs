//! `snorri check --live`: whether what the definitions send arrives somewhere, on a running broker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args as ClapArgs;

use super::failure::{Failure, exit};
use crate::broker::management::{self, Access, Management};
use crate::catalog::{Compiled, Diagnostics};
use crate::check::topology::check_topology;
use crate::config;

const HEADING: &str = "A running broker";

#[derive(Debug, ClapArgs)]
#[group(skip)]
pub struct Args {
    /// Look at a running RabbitMQ, too: whether each command has a queue, and somebody who consumes it
    #[arg(long, help_heading = HEADING)]
    live: bool,
    /// Where its management API is, if not on the host of the configured broker, port 15672
    #[arg(long, help_heading = HEADING, value_name = "URL", requires = "live", env = "SNORRI_MANAGEMENT_URL", hide_env_values = true)]
    management_url: Option<String>,
    /// The configuration (TOML) that says which broker and virtual host it is, as `snorri serve` takes it
    #[arg(long, help_heading = HEADING, value_name = "FILE", requires = "live")]
    config: Option<PathBuf>,
}

impl Args {
    /// What is missing for each definition, if it is asked for.
    pub async fn look(&self, definitions: &[Arc<Compiled>]) -> Result<Vec<Diagnostics>, Failure> {
        if !self.live {
            return Ok(Vec::new());
        }
        let (management, broker) = open(self.config.as_deref(), self.management_url.as_deref())?;
        let observed = management.observe().await?;
        let declares = !broker.verify_only;
        Ok(definitions.iter().map(|compiled| check_topology(compiled, &observed, declares)).collect())
    }
}

/// The management API of the configured broker.
pub fn open(config: Option<&Path>, url: Option<&str>) -> Result<(Management, config::Broker), Failure> {
    let config::Config { broker, .. } = config::load(config, Vec::new()).map_err(anyhow::Error::from)?;
    let access = Access::new(broker.url.first(), url)?;
    Ok((Management::new(access)?, broker))
}

impl From<management::Error> for Failure {
    fn from(error: management::Error) -> Self {
        use management::Error::{NoQueue, NoVhost, NotABroker, NotAnApi, Refused, Unexpected, Unreachable};
        let code = match error {
            NotABroker(_) | NotAnApi(_) => exit::USAGE,
            Unreachable { .. } => exit::UNAVAILABLE,
            Refused { .. } => exit::NOT_ALLOWED,
            NoQueue { .. } | NoVhost { .. } => exit::NOT_FOUND,
            Unexpected { .. } => exit::FAILED,
        };
        Self::Told { what: error.to_string(), help: error.help(), code }
    }
}
