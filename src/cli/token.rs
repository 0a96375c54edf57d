//! `snorri token`: a random token for the admin API, and what the configuration keeps of it.

use anyhow::Context;
use clap::Args as ClapArgs;
use clap::builder::PossibleValuesParser;

use super::print;
use crate::http::{Role, hash, random};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The token is shown once and kept nowhere: give it to whoever it is for. The lines for the configuration have only its hash.

Examples:
  snorri token ann --role operator
  snorri token ci --role deployer >> /etc/snorri/snorri.toml   # the token itself goes to the terminal")]
pub struct Args {
    /// Who it is for, as the journal and the audit will say
    name: String,
    /// What they may do
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::name)), default_value = "viewer")]
    role: String,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let token = random().context("the system has no randomness to give")?;
    let (name, role, hash) = (toml_text(&args.name), &args.role, hash(&token));
    // So that the configuration alone can go to a file.
    anstream::eprintln!("token:  {token}\nsha256: {hash}\n");
    print(&format!("[[http.auth.tokens]]\nname = {name}\nrole = \"{role}\"\nsha256 = \"{hash}\""))
}

/// JSON's text is TOML's, other than that TOML wants what deletes characters escaped too.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
