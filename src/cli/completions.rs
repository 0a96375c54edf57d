//! `snorri completions`: prints the completion script of a shell.

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

use crate::cli::failure::Failure;
use crate::cli::{Cli, output};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  snorri completions bash > ~/.local/share/bash-completion/completions/snorri
  snorri completions zsh > ~/.zfunc/_snorri
  snorri completions fish > ~/.config/fish/completions/snorri.fish")]
pub struct Args {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "snorri", &mut script);
    output::raw(&String::from_utf8_lossy(&script))?;
    Ok(())
}
