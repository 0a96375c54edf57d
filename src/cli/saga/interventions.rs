//! Interventions in one saga: `cancel`, `pause`, `resume`, `retry`, `resolve`, `skip`, `rollback`, `abandon`.

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use crate::cli::color::{color_of, paint};
use crate::cli::failure::{EXIT_CODES, Failure};
use crate::cli::output::{self, Format, brief, tame};
use crate::cli::remote::{Remote, Session};
use crate::cli::saga::target::Target;
use snorri_api::interventions::{
    EmittedMessage, Intervened, PreviewQuery, ReasonBody, ResolveBody, ResolvedAs, StepBody,
};
use snorri_core::json;
use snorri_core::{Direction, PAYLOAD_LIMITS};

const BRIEF: usize = 160;

/// The arguments of every intervention.
#[derive(Debug, ClapArgs)]
pub struct How {
    /// The saga: its id, or DEFINITION/KEY
    pub saga: Target,
    /// The reason, for the journal and the audit log
    #[arg(long, short, value_name = "TEXT")]
    pub reason: String,
    /// The person on whose behalf you act, if not the owner of the token
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Show the result, and change nothing
    #[arg(long)]
    pub preview: bool,
    /// Apply only if the saga still has this number of journal entries
    #[arg(long, value_name = "SEQ")]
    pub if_match: Option<u32>,
}

#[derive(Debug, ClapArgs)]
pub struct Plain {
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, ClapArgs)]
pub struct OfStep {
    #[command(flatten)]
    how: How,
    /// The step, as `snorri show` names it; default: everything that is held for retry, and the incident without a step for skip
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Examples:
  snorri resolve order/o-17 --step ship --outcome succeeded --result '{{\"trackingId\": \"T-1\"}}' --reason 'booked by phone'
  snorri resolve order/o-17 --step charge --outcome failed --reason 'the bank has no such payment' --preview

{EXIT_CODES}"))]
pub struct Resolve {
    #[command(flatten)]
    how: How,
    /// The step, as `snorri show` names it
    #[arg(long, value_name = "STEP")]
    step: String,
    /// Whether the command took effect
    #[arg(long, value_name = "OUTCOME")]
    outcome: Outcome,
    /// The output of the step, as JSON, if it succeeded
    #[arg(long, value_name = "JSON")]
    result: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Outcome {
    Succeeded,
    Failed,
}

/// The end of the help of an intervention.
pub fn examples(verb: &str, reason: &str) -> String {
    format!(
        "\
Examples:
  snorri {verb} --reason '{reason}' --preview
  snorri {verb} --reason '{reason}'
  snorri {verb} --reason '{reason}' --if-match 12

{EXIT_CODES}"
    )
}

/// Runs an intervention that needs only a reason. `path` is the last segment of its route.
pub async fn plain(args: Plain, path: &str) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let actor = session.actor(args.how.actor.as_deref()).await?;
    intervene(&session, &args.how, path, &ReasonBody { reason: args.how.reason.clone(), actor }).await
}

pub async fn of_step(args: OfStep, path: &str) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let actor = session.actor(args.how.actor.as_deref()).await?;
    let body = StepBody { step: args.step, reason: args.how.reason.clone(), actor };
    intervene(&session, &args.how, path, &body).await
}

pub async fn resolve(args: Resolve) -> Result<(), Failure> {
    let session = args.remote.open()?;
    let output = args.result.as_deref().map(|text| json("the output", text)).transpose()?.unwrap_or_default();
    let outcome = match args.outcome {
        Outcome::Succeeded => ResolvedAs::Succeeded,
        Outcome::Failed if args.result.is_some() => {
            return Err(Failure::usage("a failed step has no output: omit `--result`"));
        }
        Outcome::Failed => ResolvedAs::Failed,
    };
    let actor = session.actor(args.how.actor.as_deref()).await?;
    let body = ResolveBody { step: args.step, outcome, output, reason: args.how.reason.clone(), actor };
    intervene(&session, &args.how, "resolve", &body).await
}

/// Parses JSON of the command line or of a file, within the limits of the server.
pub fn json(what: &str, text: &str) -> Result<Value, Failure> {
    json::read(text.as_bytes(), PAYLOAD_LIMITS)
        .map_err(|error| Failure::usage(format!("{what} is not valid: {error}")))
}

async fn intervene(session: &Session, how: &How, path: &str, body: &impl Serialize) -> Result<(), Failure> {
    let request = request(session, how, path, body);
    let answer = session.client.answer(request).await?;
    if session.format == Format::Json {
        output::json_text(&answer.text)?;
    } else {
        output::print(&render_outcome(&answer.read()?, &session.flags))?;
    }
    Ok(())
}

/// Builds the request of an intervention or its preview.
pub fn request(session: &Session, how: &How, path: &str, body: &impl Serialize) -> reqwest::RequestBuilder {
    let id = how.saga.segment();
    let mut request = session.client.request(Method::POST, &["sagas", &id, path]).json(body);
    if how.preview {
        request = request.query(&PreviewQuery { preview: true });
    }
    match how.if_match {
        Some(seq) => request.header("if-match", format!("\"{seq}\"")),
        None => request,
    }
}

/// Renders the result of an intervention or its preview.
pub fn render_outcome(after: &Intervened, flags: &str) -> String {
    let bold = Style::new().bold();
    let (title, sent) = match after.preview {
        true => ("Preview: nothing was changed.", "It would send"),
        false => ("Done.", "It sends"),
    };
    let mut text = format!("{bold}{title}{bold:#}\n");
    if after.messages.is_empty() {
        text += &format!("{sent} nothing.\n");
    } else {
        text += &format!("{sent}\n");
        text.extend(after.messages.iter().map(message));
    }
    let status = paint(color_of(after.status), after.status.as_str());
    let is = if after.preview { "It would then be" } else { "It is now" };
    let waits = if after.saga.ended { "It has ended.".into() } else { tame(&after.saga.waits_for) };
    text += &format!("{is} {status}, at entry {}. {waits}\n", after.seq);
    let before = after.seq.saturating_sub(1);
    if after.preview && before > 0 {
        // The precondition makes the result that of the preview.
        text += &format!(
            "To apply it, omit --preview; add --if-match {before} to apply it only to this state.\n"
        );
    } else if after.preview {
        text += "To apply it, omit --preview.\n";
    } else if !after.saga.ended {
        text += &format!("Follow it: snorri watch {}{flags}\n", after.saga.id);
    }
    text
}

fn message(sends: &EmittedMessage) -> String {
    let (sign, color) = match sends.direction {
        Some(Direction::Compensate) => ("↶", AnsiColor::Yellow),
        _ => ("→", AnsiColor::Cyan),
    };
    let step = sends.step.as_deref().unwrap_or(sends.kind.as_str());
    let name = sends.name.as_deref().unwrap_or(sends.kind.as_str());
    let attempt = sends.attempt.map(|attempt| format!("  (attempt {attempt})")).unwrap_or_default();
    let to = sends
        .destination
        .as_deref()
        .filter(|to| !to.is_empty())
        .map(|to| format!("  to {to}"))
        .unwrap_or_default();
    let payload = brief(&sends.payload, BRIEF);
    format!("  {}  {}{to}{attempt}\n      {payload}\n", paint(color, &format!("{sign} {step}")), tame(name))
}

/// Formats a value as JSON.
pub fn written(value: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string(value).context("cannot format the response")?)
}
