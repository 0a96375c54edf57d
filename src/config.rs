//! The configuration, in layers: the embedded default file, a file, the environment, flags.

use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat};
use serde::Deserialize;

use crate::http;
use crate::startup::WaitFor;
use snorri_ports::addresses::Addresses;
use snorri_wire::envelope::ReplyToPattern;

/// The default configuration, with its documentation.
pub const DEFAULT: &str = include_str!("snorri.toml");

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub startup: StartupConfig,
    pub database: DatabaseConfig,
    pub broker: BrokerConfig,
    pub definitions: DefinitionsConfig,
    pub engine: snorri_engine::Options,
    pub http: http::Options,
    pub log: LogConfig,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartupConfig {
    pub wait_for: WaitFor,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// One or several: the writable one is used.
    pub url: Addresses,
    pub max_connections: u32,
    pub read_pool_size: u32,
    pub migrate: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// One or several, tried in turn.
    pub url: Addresses,
    pub prefix: String,
    pub declare_topology: bool,
    /// Empty: the default exchange.
    pub reply_exchange: String,
    pub reply_to_pattern: ReplyToPattern,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefinitionsConfig {
    pub directory: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    pub format: LogFormat,
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Pretty,
    Json,
}

/// One setting given on the command line: its dotted name and its value.
pub type Flag = (&'static str, String);

#[derive(Debug, thiserror::Error)]
#[error("the configuration is not valid: {0}")]
pub struct Error(#[from] config::ConfigError);

/// Reads all layers.
pub fn load(file: Option<&Path>, flags: Vec<Flag>) -> Result<Config, Error> {
    let mut builder = config::Config::builder().add_source(File::from_str(DEFAULT, FileFormat::Toml));
    if let Some(file) = file {
        builder = builder.add_source(File::from(file).format(FileFormat::Toml));
    }
    builder = builder.add_source(Environment::with_prefix("SNORRI").prefix_separator("__").separator("__"));
    for (name, value) in flags {
        builder = builder.set_override(name, value)?;
    }
    Ok(builder.build()?.try_deserialize()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_default_is_complete_and_flags_win() {
        let config = load(None, vec![("database.url", "sqlite://other.db".to_owned())]).expect("valid");
        assert_eq!(config.database.url.first(), "sqlite://other.db");
        assert_eq!(config.engine.timer_interval, Duration::from_millis(200));
        assert_eq!(config.log.format, LogFormat::Pretty);
    }

    #[test]
    fn a_setting_that_does_not_exist_is_refused_by_name() {
        let error = load(None, vec![("engine.lance", "3".to_owned())]).expect_err("unknown");
        assert!(error.to_string().contains("lance"), "{error}");
    }
}
