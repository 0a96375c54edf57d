//! `snorri explain`: explains a code of a diagnostic.

use anstyle::{AnsiColor, Style};
use clap::Args as ClapArgs;

use crate::cli::color::paint;
use crate::cli::failure::Failure;
use crate::cli::output::{self, ReportFormat};
use snorri_definition::diagnostic::explanation::{Explanation, ExplanationPart, explain, explanations};

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
`snorri check` and the server report each problem of a definition with a code. Without a code, all codes are listed.

Exit codes: 0 done, 2 there is no such code.

Examples:
  snorri explain E0303
  snorri explain
  snorri explain --format json | jq -r '.[] | .code + \" \" + .title'")]
pub struct Args {
    /// A code, such as E0303
    code: Option<String>,
    /// Output for people or for programs
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let Some(code) = &args.code else { return list(args.format) };
    let explanation = explain(code).map_err(|near| unknown(code, near))?;
    match args.format {
        ReportFormat::Text => output::print(&render_explanation(&explanation)),
        ReportFormat::Json => output::json(&explanation),
    }
}

fn list(format: ReportFormat) -> Result<(), Failure> {
    match format {
        ReportFormat::Text => {
            let line = |e: Explanation| format!("{}  {}\n", paint(AnsiColor::Cyan, e.code), e.title);
            output::print(&explanations().map(line).collect::<String>())
        }
        ReportFormat::Json => output::json(&explanations().collect::<Vec<_>>()),
    }
}

fn unknown(code: &str, near: Option<&str>) -> Failure {
    let suggestion = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
    Failure::usage(format!("there is no code `{code}`: {suggestion}`snorri explain` lists all codes"))
}

fn render_explanation(explanation: &Explanation) -> String {
    let bold = Style::new().bold();
    let Explanation { code, title, severity, .. } = explanation;
    let mut text = format!("{bold}{code}: {title}{bold:#} ({severity})\n");
    for part in explanation.parts() {
        text.push('\n');
        text.push_str(&match part {
            ExplanationPart::Prose(prose) => marked(prose) + "\n",
            ExplanationPart::Wrong(yaml) => {
                format!("{}\n\n{}", paint(AnsiColor::Red, "Wrong:"), indented(yaml))
            }
            ExplanationPart::Right(yaml) => {
                format!("{}\n\n{}", paint(AnsiColor::Green, "Right:"), indented(yaml))
            }
        });
    }
    text
}

/// Colours code in backticks. The backticks stay, for output without colours.
fn marked(prose: &str) -> String {
    let pieces = prose.split('`').enumerate().map(|(index, piece)| match index % 2 {
        0 => piece.to_owned(),
        _ => paint(AnsiColor::Cyan, &format!("`{piece}`")),
    });
    pieces.collect()
}

fn indented(yaml: &str) -> String {
    yaml.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
}
