//! The common arguments of all commands that use a server: the server, the credentials and the output format.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args as ClapArgs;
use secrecy::SecretString;

use crate::cli::client::{self, Client};
use crate::cli::failure::Failure;
use crate::cli::output::{Color, Format};
use crate::cli::profile;

const LOCAL: &str = "http://127.0.0.1:7070";
/// The name of every caller of a server without authentication.
const ANONYMOUS: &str = "anonymous";

#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Server and output")]
pub struct Remote {
    /// The URL of the server; default: that of the profile, or http://127.0.0.1:7070
    #[arg(long, global = true, env = "SNORRI_SERVER", value_name = "URL")]
    server: Option<String>,
    /// The token; use --token-file to keep it out of the process list
    #[arg(long, global = true, env = "SNORRI_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The file with the token; overrides --token
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Allow sending the token without encryption to another machine
    #[arg(long, global = true, env = "SNORRI_INSECURE")]
    insecure: bool,
    /// A profile of $XDG_CONFIG_HOME/snorri/cli.toml; default: `default`, if it exists
    #[arg(long, global = true, env = "SNORRI_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// Tables for people, or the response of the server for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

/// A client of a server, with the output options.
#[derive(Debug)]
pub struct Session {
    pub client: Client,
    pub format: Format,
    /// The flags that select the same server, for suggested commands.
    pub flags: String,
}

impl Remote {
    pub fn open(&self) -> Result<Session, Failure> {
        self.color.apply();
        let mut profile = profile::find(self.profile.as_deref())?;
        if self.server.is_some() && self.profile.is_none() {
            // The secrets of the default profile are only for its own server.
            profile = profile::Profile::default();
        }
        let server = self.server.clone().or(profile.server).unwrap_or_else(|| LOCAL.to_owned());
        let token = match (&self.token_file, &self.token, &profile.token_file) {
            (Some(file), ..) | (None, None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the token in {}", file.display()))?;
                Some(SecretString::from(text.trim().to_owned()))
            }
            (None, Some(token), _) => Some(SecretString::from(token.clone())),
            (None, None, None) => None,
        };
        let client = Client::new(client::Options { server: &server, token, ca: profile.ca.as_deref() })?;
        if client.exposes_token() && !self.insecure {
            return Err(Failure::usage(format!(
                "the token is not sent to {server}, because others on the network could read it: use https, \
                 or --insecure if the network can be trusted"
            )));
        }
        Ok(Session { client, format: self.output, flags: self.flags() })
    }

    fn flags(&self) -> String {
        // The environment also applies to the next command.
        let typed = |name: &str, variable: &str, value: &Option<String>| match value {
            Some(value) if std::env::var(variable).is_err() => format!(" --{name} {}", quoted(value)),
            _ => String::new(),
        };
        let token_file = self.token_file.as_ref().map(|file| file.display().to_string());
        let insecure = self.insecure && std::env::var("SNORRI_INSECURE").is_err();
        let insecure = if insecure { " --insecure" } else { "" };
        typed("server", "SNORRI_SERVER", &self.server)
            + &typed("profile", "SNORRI_PROFILE", &self.profile)
            + &token_file.map(|file| format!(" --token-file {}", quoted(&file))).unwrap_or_default()
            + insecure
    }
}

impl Session {
    /// The actor of an intervention: the named one, or without authentication the user of this terminal.
    pub async fn actor(&self, named: Option<&str>) -> Result<Option<String>, Failure> {
        if let Some(named) = named {
            return Ok(Some(named.to_owned()));
        }
        let user = || std::env::var("USER").ok().filter(|user| !user.is_empty());
        Ok(if self.client.whoami().await?.name == ANONYMOUS { user() } else { None })
    }
}

/// Quotes a text for a shell.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
