//! `snorri check --topology`: checks that a running broker routes the commands of definitions to queues with consumers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args as ClapArgs;

use crate::cli::failure::{Failure, exit};
use crate::config;
use snorri_broker::management::{self, Access, Management};
use snorri_definition::{Compiled, Diagnostics};
use snorri_verify::check::topology::check_topology;

const HEADING: &str = "A running broker";

#[derive(Debug, ClapArgs)]
#[group(skip)]
pub struct Args {
    /// Also check a running RabbitMQ: whether each command has a queue with a consumer
    #[arg(long, help_heading = HEADING)]
    topology: bool,
    /// The URL of the management API; default: port 15672 on the host of the configured broker
    #[arg(long, help_heading = HEADING, value_name = "URL", requires = "topology", env = "SNORRI_MANAGEMENT_URL", hide_env_values = true)]
    management_url: Option<String>,
    /// The configuration of `snorri serve` (TOML), with the broker and the virtual host
    #[arg(long, help_heading = HEADING, value_name = "FILE", requires = "topology")]
    config: Option<PathBuf>,
}

impl Args {
    /// The findings about the topology for each definition, if requested.
    pub async fn check(&self, definitions: &[Arc<Compiled>]) -> Result<Vec<Diagnostics>, Failure> {
        if !self.topology {
            return Ok(Vec::new());
        }
        let (management, broker) = open(self.config.as_deref(), self.management_url.as_deref())?;
        let observed = management.observe().await?;
        let declares = broker.declare_topology;
        Ok(definitions.iter().map(|compiled| check_topology(compiled, &observed, declares)).collect())
    }
}

/// The management API of the configured broker.
pub fn open(config: Option<&Path>, url: Option<&str>) -> Result<(Management, config::BrokerConfig), Failure> {
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
        Self::External { what: error.to_string(), help: error.help(), code }
    }
}
