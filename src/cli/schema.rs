//! `snorri schema`: the JSON Schema of definitions, for editors.

use std::io::Write;

use clap::Args as ClapArgs;

use crate::catalog::language;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
With this first line, an editor that has a YAML language server completes and checks a definition as you write it:

  # yaml-language-server: $schema=definition.schema.json

Examples:
  snorri schema > sagas/definition.schema.json
  snorri schema | jq '.\"$defs\".Command.properties | keys'")]
pub struct Args {}

pub fn run(_: &Args) -> anyhow::Result<()> {
    let schema = serde_json::to_string_pretty(&language::schema())?;
    // Whoever reads it may have read enough.
    match writeln!(std::io::stdout().lock(), "{schema}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
