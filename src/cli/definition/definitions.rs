//! `snorri definitions`: lists, registers, compares, activates and deactivates definitions.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::{Args as ClapArgs, Subcommand};
use comfy_table::Cell;

use crate::cli::color::paint;
use crate::cli::definition::sources;
use crate::cli::failure::{CommandResult, EXIT_CODES, Failure, diagnosed, exit};
use crate::cli::output::{self, Format, tame};
use crate::cli::remote::{Remote, Session};
use snorri_api::definitions::{
    DefinitionSummary, Definitions, Diff, DiffQuery, RegisterRequest, Version, VersionSummary,
};
use snorri_api::interventions::ReasonBody;
use snorri_verify::model_check::Bounds;

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Examples:
  snorri definitions list
  snorri definitions check sagas/order.yaml
  snorri definitions register sagas/order.yaml --reason 'the new carrier'
  snorri definitions diff order 1 2
  snorri definitions deactivate order 1 --reason 'replaced by 2'
  snorri definitions source order 2 > order.yaml

{EXIT_CODES}"))]
pub struct Args {
    #[command(subcommand)]
    action: DefinitionsAction,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum DefinitionsAction {
    /// List definitions
    List,
    /// Show a definition with its versions and numbers of sagas
    Show { name: String },
    /// Check files as `register` does, and change nothing
    Check {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Check the files only against each other, without the registered definitions of the server
        #[arg(long)]
        offline: bool,
    },
    /// Check files and register their definitions
    Register {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The reason, for the audit log
        #[arg(long, short, value_name = "TEXT")]
        reason: Option<String>,
        /// The person on whose behalf you act, if not the owner of the token
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
    },
    /// Compare two versions; exit code 4 if a change is breaking
    Diff { name: String, from: u32, to: u32 },
    /// Activate a version: new sagas can start in it
    Activate(Switch),
    /// Deactivate a version: no new sagas start in it, and running sagas continue
    Deactivate(Switch),
    /// Print the YAML of a version
    Source { name: String, of_version: u32 },
    /// Print the JSON Schema of the input of a version
    InputSchema { name: String, of_version: u32 },
}

#[derive(Debug, ClapArgs)]
struct Switch {
    name: String,
    #[arg(value_name = "VERSION")]
    of_version: u32,
    /// The reason, for the audit log
    #[arg(long, short, value_name = "TEXT")]
    reason: String,
    /// The person on whose behalf you act, if not the owner of the token
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

pub async fn run(args: Args) -> CommandResult {
    let session = args.remote.open()?;
    let session = &session;
    match args.action {
        DefinitionsAction::List => list(session).await?,
        DefinitionsAction::Show { name } => show(session, &name).await?,
        DefinitionsAction::Check { files, offline } => {
            if offline {
                check_offline(&files)?;
                return Ok(ExitCode::SUCCESS);
            }
            for file in files {
                check(session, &file).await?;
            }
        }
        DefinitionsAction::Register { files, reason, actor } => {
            let actor = session.actor(actor.as_deref()).await?;
            for file in files {
                register(session, &file, reason.clone(), actor.clone()).await?;
            }
        }
        DefinitionsAction::Diff { name, from, to } => return diff(session, &name, from, to).await,
        DefinitionsAction::Activate(switch) => set_active(session, switch, "activate").await?,
        DefinitionsAction::Deactivate(switch) => set_active(session, switch, "deactivate").await?,
        DefinitionsAction::Source { name, of_version } => {
            let path = ["definitions", &name, "versions", &of_version.to_string(), "source"];
            output::raw(&session.client.get(&path).await?.text)?;
        }
        DefinitionsAction::InputSchema { name, of_version } => {
            let path = ["definitions", &name, "versions", &of_version.to_string(), "input-schema"];
            output::json_text(&session.client.get(&path).await?.text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(session: &Session) -> Result<(), Failure> {
    let answer = session.client.get(&["definitions"]).await?;
    if session.format == Format::Json {
        return output::json_text(&answer.text);
    }
    let all: Definitions = answer.read()?;
    let row = |definition: &DefinitionSummary| {
        let inactive = definition.versions.iter().filter(|version| !version.active).count();
        let versions = match inactive {
            0 => definition.versions.len().to_string(),
            inactive => format!("{} ({inactive} inactive)", definition.versions.len()),
        };
        let unusable = definition.versions.iter().filter(|version| version.unusable.is_some()).count();
        let versions = match unusable {
            0 => versions,
            unusable => format!("{versions}, {unusable} unusable"),
        };
        vec![
            Cell::new(&definition.name),
            output::maybe(definition.latest.as_ref()),
            Cell::new(versions),
            Cell::new(sagas(&definition.versions)),
            Cell::new(tame(definition.description.as_deref().unwrap_or_default())),
        ]
    };
    let header = ["definition", "latest", "versions", "sagas", "description"];
    output::print(&output::table(&header, all.definitions.iter().map(row).collect()))?;
    for error in &all.load_errors {
        let what = format!("{} is not loaded ({}): {}", error.file, error.code, tame(&error.message));
        output::line(&paint(AnsiColor::Yellow, &what))?;
    }
    Ok(())
}

/// Formats the numbers of sagas of these versions by status: `2 running, 1 stuck`.
fn sagas(versions: &[VersionSummary]) -> String {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for count in versions.iter().flat_map(|version| &version.sagas) {
        match counts.iter_mut().find(|(status, _)| *status == count.status.as_str()) {
            Some((_, sum)) => *sum += count.count,
            None => counts.push((count.status.as_str(), count.count)),
        }
    }
    let counts: Vec<_> = counts.into_iter().map(|(status, count)| format!("{count} {status}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

async fn show(session: &Session, name: &str) -> Result<(), Failure> {
    let answer = session.client.get(&["definitions", name]).await?;
    if session.format == Format::Json {
        return output::json_text(&answer.text);
    }
    let definition: DefinitionSummary = answer.read()?;
    let bold = Style::new().bold();
    let description = tame(definition.description.as_deref().unwrap_or_default());
    output::line(&format!("{bold}{}{bold:#}  {description}", definition.name))?;
    let row = |version: &VersionSummary| {
        let latest = definition.latest == Some(version.version);
        let state = match (version.active, latest) {
            (true, true) => "active, latest",
            (true, false) => "active",
            (false, _) => "inactive",
        };
        let unusable = version.unusable.as_ref().map(|_| ", unusable").unwrap_or_default();
        vec![
            Cell::new(version.version),
            Cell::new(format!("{state}{unusable}")),
            Cell::new(output::time(&version.registered_at)),
            Cell::new(sagas(std::slice::from_ref(version))),
        ]
    };
    let header = ["version", "state", "registered", "sagas"];
    output::print(&output::table(&header, definition.versions.iter().map(row).collect()))?;
    for version in &definition.versions {
        if let Some(reason) = &version.unusable {
            let what = format!("no sagas start in version {}: {}", version.version, tame(reason));
            output::line(&paint(AnsiColor::Yellow, &what))?;
        }
    }
    Ok(())
}

/// Reads a definition and the files that it refers to. Compiles it first, to show the lines of errors.
fn read(file: &Path) -> anyhow::Result<RegisterRequest> {
    let source = snorri_definition::read_definition(file)?;
    sources::shown(&source)?;
    Ok(RegisterRequest {
        source: source.text,
        files: source.files,
        file: Some(file.display().to_string()),
        check_only: false,
        reason: None,
        actor: None,
    })
}

/// Checks files against each other without the server, as `snorri check` does.
fn check_offline(files: &[PathBuf]) -> Result<(), Failure> {
    let loaded = sources::load(files)?;
    let checked = tokio::task::block_in_place(|| sources::checked(&loaded, &Bounds::default()));
    for (source, _) in
        loaded.asked_for.iter().zip(&checked).filter(|(_, checked)| checked.findings.errors() == 0)
    {
        passes(&source.path)?;
    }
    sources::report(&checked)
}

async fn check(session: &Session, file: &Path) -> Result<(), Failure> {
    let request = RegisterRequest { check_only: true, ..read(file)? };
    let answer = session.client.post(&["definitions"], &request).await?;
    if session.format == Format::Json {
        return output::json_text(&answer.text);
    }
    warn(&answer.read()?);
    passes(file)
}

fn passes(file: &Path) -> Result<(), Failure> {
    output::line(&format!("{} {}", paint(AnsiColor::Green, "✓"), file.display()))
}

/// Shows the warnings of the server, which also checks against the registered definitions.
fn warn(version: &Version) {
    for line in version.diagnostics.iter().flat_map(diagnosed) {
        anstream::eprintln!("{} {line}", paint(AnsiColor::Yellow, "warning:"));
    }
}

async fn register(
    session: &Session,
    file: &Path,
    reason: Option<String>,
    actor: Option<String>,
) -> Result<(), Failure> {
    let request = RegisterRequest { reason, actor, ..read(file)? };
    let answer = session.client.post(&["definitions"], &request).await?;
    if session.format == Format::Json {
        return output::json_text(&answer.text);
    }
    let version: Version = answer.read()?;
    warn(&version);
    let what = if answer.status == 201 { "registered" } else { "already registered:" };
    let sign = paint(AnsiColor::Green, "✓");
    output::line(&format!("{sign} {what} {}@{}", version.name, version.version))
}

async fn diff(session: &Session, name: &str, from: u32, to: u32) -> CommandResult {
    let answer = session.client.find(&["definitions", name, "diff"], &DiffQuery { from, to }).await?;
    let diff: Diff = answer.read()?;
    if session.format == Format::Json {
        output::json_text(&answer.text)?;
    } else {
        let mut text =
            format!("{name} {from} → {to}: {}\n", output::counted(diff.changes.len() as u64, "change"));
        let (breaks, fits): (Vec<_>, Vec<_>) = diff.changes.iter().partition(|change| change.breaking);
        for change in breaks.into_iter().chain(fits) {
            let (sign, color) =
                if change.breaking { ("✗", AnsiColor::Red) } else { ("✓", AnsiColor::Green) };
            text += &format!(
                "{}  {}\n",
                paint(color, &format!("{sign} {}", tame(&change.at))),
                tame(&change.message)
            );
        }
        output::print(&text)?;
    }
    Ok(if diff.breaking { ExitCode::from(exit::REFUSED) } else { ExitCode::SUCCESS })
}

async fn set_active(session: &Session, switch: Switch, path: &str) -> Result<(), Failure> {
    let actor = session.actor(switch.actor.as_deref()).await?;
    let body = ReasonBody { reason: switch.reason, actor };
    let version = switch.of_version.to_string();
    let answer =
        session.client.post(&["definitions", &switch.name, "versions", &version, path], &body).await?;
    if session.format == Format::Json {
        return output::json_text(&answer.text);
    }
    let now: Version = answer.read()?;
    let state = if now.active { "active" } else { "inactive" };
    output::line(&format!("{}@{} is {state}", now.name, now.version))
}
