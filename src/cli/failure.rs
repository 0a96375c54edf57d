//! Why a command came to nothing: what is wrong, where, what to do about it, and the exit code that says so to scripts.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use super::story::paint;
use crate::api::problem::Problem;
use crate::text::escape_styled;

/// What a command that speaks to a server ends with.
pub type Outcome = Result<ExitCode, Failure>;

/// The exit codes, as `--help` and `docs/cli.md` promise them.
pub mod exit {
    pub const FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const NOT_FOUND: u8 = 3;
    pub const REFUSED: u8 = 4;
    pub const NOT_ALLOWED: u8 = 5;
    pub const UNAVAILABLE: u8 = 6;
    /// What `wait` adds to them.
    pub const COMPENSATED: u8 = 10;
    pub const ABANDONED: u8 = 11;
    pub const STUCK: u8 = 12;
    pub const NOT_YET: u8 = 13;
}

/// The end of `--help`, for every command that speaks to a server.
pub const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused (it changed meanwhile, or it is not possible),
5 not allowed, 6 the server does not answer. All of them: docs/cli.md.";

#[derive(Debug)]
pub enum Failure {
    /// What was typed cannot be done, whatever the server says.
    Usage(String),
    /// The server says why not.
    Refused {
        problem: Box<Problem>,
        call: String,
    },
    /// Something answers, but not as Snorri does.
    Unexpected {
        status: u16,
        call: String,
        text: String,
    },
    Unreachable {
        server: String,
        why: String,
    },
    /// Somebody else than Snorri's server says no, or does not answer.
    Told {
        what: String,
        help: &'static str,
        code: u8,
    },
    Other(anyhow::Error),
    /// Whoever read the output has read enough.
    Closed,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Other(error.into()),
        }
    }
}

impl Failure {
    pub fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub fn exit_code(&self) -> ExitCode {
        let code = match self {
            Self::Closed => return ExitCode::SUCCESS,
            Self::Usage(_) => exit::USAGE,
            Self::Refused { problem, .. } => of_status(problem.status),
            Self::Unexpected { status, .. } => of_status(*status),
            Self::Unreachable { .. } => exit::UNAVAILABLE,
            Self::Told { code, .. } => *code,
            Self::Other(_) => exit::FAILED,
        };
        ExitCode::from(code)
    }

    /// Tells it on standard error.
    pub fn print(&self) {
        let text = self.told();
        if !text.is_empty() {
            anstream::eprint!("{}", escape_styled(&text));
        }
    }

    /// In a line.
    pub fn brief(&self) -> String {
        match self {
            Self::Closed => String::new(),
            Self::Usage(text) => text.clone(),
            Self::Refused { problem, .. } => format!("{} ({})", problem.detail, problem.code),
            Self::Unexpected { status, .. } => format!("the answer is not one of Snorri's: {status}"),
            Self::Unreachable { server, why } => format!("no answer from {server}: {why}"),
            Self::Told { what, .. } => what.clone(),
            Self::Other(error) => error.to_string(),
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Closed => String::new(),
            Self::Usage(text) => lines(text, None, &[], Some("see --help")),
            Self::Refused { problem, call } => refused(problem, call),
            Self::Unexpected { status, call, text } => {
                let shown: String = text.chars().take(200).collect();
                let what = format!("the answer is not one of Snorri's: {status} {shown}");
                lines(what.trim(), Some(call), &[], Some("is --server the address of `snorri serve`?"))
            }
            Self::Unreachable { server, why } => {
                let help = "is `snorri serve` running there? --server, SNORRI_SERVER or a profile say where";
                lines(&format!("no answer from {server}"), None, std::slice::from_ref(why), Some(help))
            }
            Self::Told { what, help, .. } => lines(what, None, &[], Some(help)),
            Self::Other(error) => {
                let causes: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
                lines(&error.to_string(), None, &causes, None)
            }
        }
    }
}

fn of_status(status: u16) -> u8 {
    match status {
        404 => exit::NOT_FOUND,
        409 | 412 | 422 => exit::REFUSED,
        401 | 403 => exit::NOT_ALLOWED,
        408 | 429 | 502..=504 => exit::UNAVAILABLE,
        _ => exit::FAILED,
    }
}

fn refused(problem: &Problem, call: &str) -> String {
    let mut places: Vec<_> =
        problem.errors.iter().map(|at| format!("{}: {}", at.pointer, at.detail)).collect();
    places.extend(problem.diagnostics.iter().flat_map(diagnosed));
    let what = format!("{} ({})", problem.detail, problem.code);
    lines(&what, Some(call), &places, hint(problem))
}

/// What is found in a definition, as the server tells it.
pub fn diagnosed(all: &serde_json::Value) -> Vec<String> {
    let file = all["file"].as_str().unwrap_or("definition");
    let told = |one: &serde_json::Value| {
        let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
        let help = one["help"].as_str().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{file}:{}:{}: {} ({}){help}", one["line"], one["column"], text("message"), text("code"))
    };
    all["diagnostics"].as_array().into_iter().flatten().map(told).collect()
}

fn lines(what: &str, call: Option<&str>, places: &[String], help: Option<&str>) -> String {
    let bold = Style::new().bold();
    let mut text = format!("{} {bold}{what}{bold:#}\n", paint(AnsiColor::Red, "error:"));
    let place = places.iter().map(|place| ("", place.as_str()));
    let rest =
        call.map(|call| ("where: ", call)).into_iter().chain(place).chain(help.map(|help| ("help: ", help)));
    for (name, value) in rest {
        text.push_str(&format!("  {}{value}\n", paint(AnsiColor::Cyan, name)));
    }
    text
}

/// What to do about a problem, if anything can be said.
fn hint(problem: &Problem) -> Option<&'static str> {
    Some(match (problem.code.as_str(), problem.status) {
        ("saga_not_found", _) => {
            "`snorri list` shows what there is; a saga is named by its id or as DEFINITION/KEY"
        }
        ("changed", _) => "look at it again with `snorri show`, and decide on what it is now",
        ("key_in_use", _) => {
            "a key has one saga: `snorri show DEFINITION/KEY` shows it; take another key for another one"
        }
        ("paused", _) => "`snorri resume` lets it go on first",
        ("past_pivot", _) => "there is no way back after the pivot: it can only go forward",
        ("not_stuck", _) => "this is for sagas that wait for an operator: `snorri list --status stuck`",
        ("migration_blocked", _) => "`snorri migrate --preview` tells what stands in the way",
        ("definition_changed", _) => "a registered version never changes: give it a new version",
        ("invalid_definition", _) => "`snorri check` of the directory that it stands in shows the lines",
        (_, 401) => "give a token: --token-file, SNORRI_TOKEN, or a profile in cli.toml",
        (_, 403) => "this needs another role than your token has: ask whoever hands out tokens",
        (_, 408 | 429 | 502..=504) => "try again in a moment",
        _ => return None,
    })
}
