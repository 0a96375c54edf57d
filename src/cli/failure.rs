//! The failure of a command: what happened, where, what to do, and the exit code for scripts.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use crate::cli::color::paint;
use snorri_api::problem::Problem;
use snorri_core::text::escape_styled;

/// The result of a command that uses a server.
pub type CommandResult = Result<ExitCode, Failure>;

/// The exit codes, as `--help` and `docs/cli.md` document them.
pub mod exit {
    pub const FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const NOT_FOUND: u8 = 3;
    pub const REFUSED: u8 = 4;
    pub const NOT_ALLOWED: u8 = 5;
    pub const UNAVAILABLE: u8 = 6;
    /// The exit codes of `wait`.
    pub const COMPENSATED: u8 = 10;
    pub const ABANDONED: u8 = 11;
    pub const STUCK: u8 = 12;
    pub const NOT_YET: u8 = 13;
}

/// The end of `--help` of every command that uses a server.
pub const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused (the saga changed meanwhile, or its state does not
allow it), 5 not allowed, 6 the server does not answer. All exit codes: docs/cli.md.";

#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// The server rejected the request.
    Refused {
        problem: Box<Problem>,
        call: String,
    },
    /// The response is not one of Snorri.
    Unexpected {
        status: u16,
        call: String,
        text: String,
    },
    Unreachable {
        server: String,
        why: String,
    },
    /// An external service, not the server of Snorri, refuses or does not answer.
    External {
        what: String,
        help: &'static str,
        code: u8,
    },
    Other(anyhow::Error),
    /// The reader of the output has closed it.
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
            Self::External { code, .. } => *code,
            Self::Other(_) => exit::FAILED,
        };
        ExitCode::from(code)
    }

    /// Prints the failure to standard error.
    pub fn print(&self) {
        let text = self.render();
        if !text.is_empty() {
            anstream::eprint!("{}", escape_styled(&text));
        }
    }

    /// Formats the failure in one line.
    pub fn brief(&self) -> String {
        match self {
            Self::Closed => String::new(),
            Self::Usage(text) => text.clone(),
            Self::Refused { problem, .. } => format!("{} ({})", problem.detail, problem.code),
            Self::Unexpected { status, .. } => format!("unexpected response: {status}"),
            Self::Unreachable { server, why } => format!("no answer from {server}: {why}"),
            Self::External { what, .. } => what.clone(),
            Self::Other(error) => error.to_string(),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Closed => String::new(),
            Self::Usage(text) => lines(text, None, &[], Some("see --help")),
            Self::Refused { problem, call } => refused(problem, call),
            Self::Unexpected { status, call, text } => {
                let shown: String = text.chars().take(200).collect();
                let what = format!("unexpected response: {status} {shown}");
                lines(what.trim(), Some(call), &[], Some("is --server the address of `snorri serve`?"))
            }
            Self::Unreachable { server, why } => {
                let help =
                    "check that `snorri serve` runs there, or set --server, SNORRI_SERVER or a profile";
                lines(&format!("no answer from {server}"), None, std::slice::from_ref(why), Some(help))
            }
            Self::External { what, help, .. } => lines(what, None, &[], Some(help)),
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

/// Formats the diagnostics of a definition in a response.
pub fn diagnosed(all: &serde_json::Value) -> Vec<String> {
    let file = all["file"].as_str().unwrap_or("definition");
    let format_one = |one: &serde_json::Value| {
        let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
        let help = one["help"].as_str().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{file}:{}:{}: {} ({}){help}", one["line"], one["column"], text("message"), text("code"))
    };
    all["diagnostics"].as_array().into_iter().flatten().map(format_one).collect()
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

/// Suggests what to do about a problem.
fn hint(problem: &Problem) -> Option<&'static str> {
    Some(match (problem.code.as_str(), problem.status) {
        ("saga_not_found", _) => {
            "`snorri list` lists the sagas; identify a saga by its id or as DEFINITION/KEY"
        }
        ("changed", _) => "check the current state with `snorri show` before you repeat the command",
        ("key_in_use", _) => {
            "a key identifies one saga, see `snorri show DEFINITION/KEY`: use another key for another saga"
        }
        ("paused", _) => "resume the saga first with `snorri resume`",
        ("past_pivot", _) => "a saga cannot roll back after its pivot: it can only go forward",
        ("not_stuck", _) => "this is only for stuck sagas: `snorri list --status stuck`",
        ("migration_blocked", _) => "`snorri migrate --preview` lists the obstacles",
        ("definition_changed", _) => "a registered version is immutable: register a new version",
        ("invalid_definition", _) => "`snorri check` of its directory shows the lines",
        (_, 401) => "set a token with --token-file, SNORRI_TOKEN, or a profile in cli.toml",
        (_, 403) => "your token lacks the required role: ask an administrator for another token",
        (_, 408 | 429 | 502..=504) => "retry later",
        _ => return None,
    })
}
