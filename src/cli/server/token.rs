//! `snorri token`: creates a random token for the admin API, and its lines for the configuration.

use anyhow::Context;
use clap::Args as ClapArgs;
use clap::builder::PossibleValuesParser;

use crate::cli::output::print_plain;
use crate::http::{Role, hash, random};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The token is shown once and not stored: give it to its owner. The lines for the configuration contain only its hash.

Examples:
  snorri token ann --role operator
  snorri token ci --role deployer >> /etc/snorri/snorri.toml   # the token itself goes to the terminal")]
pub struct Args {
    /// The name of the owner, for the journal and the audit log
    name: String,
    /// The role of the owner
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::name)), default_value = "viewer")]
    role: String,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let token = random().context("the system has no source of randomness")?;
    let (name, role, hash) = (toml_text(&args.name), &args.role, hash(&token));
    // To standard error, so that standard output has only the configuration.
    anstream::eprintln!("token:  {token}\nsha256: {hash}\n");
    print_plain(&format!("[[http.auth.tokens]]\nname = {name}\nrole = \"{role}\"\nsha256 = \"{hash}\""))
}

/// Formats a TOML string: a JSON string in which DEL is escaped as well.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
