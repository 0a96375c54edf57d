//! `snorri schema`: prints the JSON Schema of definitions, for editors, or the OpenAPI document of the admin API.

use clap::Args as ClapArgs;

use crate::cli::output::print_plain;
use crate::http;
use snorri_definition::language;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
With this first line, an editor with a YAML language server completes and validates a definition:

  # yaml-language-server: $schema=definition.schema.json

Examples:
  snorri schema > sagas/definition.schema.json
  snorri schema | jq '.\"$defs\".Command.properties | keys'
  snorri schema --openapi > openapi.json")]
pub struct Args {
    /// Print the OpenAPI document of the admin API instead
    #[arg(long)]
    openapi: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let schema = match args.openapi {
        true => http::document()?,
        false => serde_json::to_string_pretty(&language::schema())?,
    };
    print_plain(&schema)
}
