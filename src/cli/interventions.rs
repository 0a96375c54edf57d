//! Steering one saga: `cancel`, `pause`, `resume`, `retry`, `resolve`, `skip`, `rollback`, `abandon`.

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::Args as ClapArgs;
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::failure::{EXIT_CODES, Failure};
use super::output::{self, Format, brief, tame};
use super::remote::{Remote, Session};
use super::story::{color_of, paint};
use super::target::Target;
use crate::api::interventions::{
    Intervened, PreviewQuery, ReasonBody, ResolveBody, ResolvedAs, Sends, StepBody,
};
use crate::json;
use crate::saga::{Direction, PAYLOAD_LIMITS};

const BRIEF: usize = 160;

/// What every intervention is asked for.
#[derive(Debug, ClapArgs)]
pub struct How {
    /// The saga: its id, or DEFINITION/KEY
    pub saga: Target,
    /// Why, for the journal and the audit
    #[arg(long, short, value_name = "TEXT")]
    pub reason: String,
    /// Who wants it, if that is not who the token says
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Tell what would follow, and change nothing
    #[arg(long)]
    pub preview: bool,
    /// Only if the saga still has this many journal entries
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
    /// The step, as `snorri show` names it; if it is left out, retry takes everything that is held, and skip the incident
    /// that belongs to no step
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("\
Examples:
  snorri resolve order/o-17 --step ship --done --result '{{\"trackingId\": \"T-1\"}}' --reason 'booked by phone'
  snorri resolve order/o-17 --step charge --not-done --reason 'the bank says it never arrived' --preview

{EXIT_CODES}"))]
pub struct Resolve {
    #[command(flatten)]
    how: How,
    /// The step, as `snorri show` names it
    #[arg(long, value_name = "STEP")]
    step: String,
    /// It happened
    #[arg(long, required_unless_present = "not_done", conflicts_with = "not_done")]
    done: bool,
    /// It did not happen
    #[arg(long)]
    not_done: bool,
    /// What came of it, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "not_done")]
    result: Option<String>,
    #[command(flatten)]
    remote: Remote,
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

/// An intervention that needs no more than a reason; `path` is how the route is called.
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
    let outcome = if args.not_done { ResolvedAs::NotDone } else { ResolvedAs::Done };
    let actor = session.actor(args.how.actor.as_deref()).await?;
    let body = ResolveBody { step: args.step, outcome, output, reason: args.how.reason.clone(), actor };
    intervene(&session, &args.how, "resolve", &body).await
}

/// JSON that was typed, or read from a file. It is held to the bounds of what the server takes.
pub fn json(what: &str, text: &str) -> Result<Value, Failure> {
    json::read(text.as_bytes(), PAYLOAD_LIMITS)
        .map_err(|error| Failure::usage(format!("{what} is refused: {error}")))
}

async fn intervene(session: &Session, how: &How, path: &str, body: &impl Serialize) -> Result<(), Failure> {
    let request = request(session, how, path, body);
    let answer = session.client.answer(request).await?;
    if session.format == Format::Json {
        output::json_text(&answer.text)?;
    } else {
        output::print(&told(&answer.read()?, &session.flags))?;
    }
    Ok(())
}

/// A request to change a saga, or to tell what would follow.
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

/// What an intervention led to, or would.
pub fn told(after: &Intervened, flags: &str) -> String {
    let bold = Style::new().bold();
    let (title, sent) = match after.preview {
        true => ("A preview: nothing was changed.", "It would send"),
        false => ("Done.", "It sends"),
    };
    let mut text = format!("{bold}{title}{bold:#}\n");
    if after.sends.is_empty() {
        text += &format!("{sent} nothing.\n");
    } else {
        text += &format!("{sent}\n");
        text.extend(after.sends.iter().map(message));
    }
    let status = paint(color_of(after.status), after.status.as_str());
    let is = if after.preview { "It would then be" } else { "It is now" };
    let waits =
        if after.saga.ended { "Nothing more will happen to it.".into() } else { tame(&after.saga.waits_for) };
    text += &format!("{is} {status}, at entry {}. {waits}\n", after.seq);
    let before = after.seq.saturating_sub(1);
    if after.preview && before > 0 {
        // So that what is then done is what was looked at.
        text += &format!(
            "Do it: the same without --preview; with --if-match {before} only if nothing changes meanwhile.\n"
        );
    } else if after.preview {
        text += "Do it: the same without --preview.\n";
    } else if !after.saga.ended {
        text += &format!("Follow it: snorri watch {}{flags}\n", after.saga.id);
    }
    text
}

fn message(sends: &Sends) -> String {
    let (sign, color) = match sends.direction {
        Some(Direction::Compensate) => ("↶", AnsiColor::Yellow),
        _ => ("→", AnsiColor::Cyan),
    };
    let step = sends.step.as_deref().unwrap_or(&sends.kind);
    let name = sends.name.as_deref().unwrap_or(&sends.kind);
    let attempt = sends.attempt.map(|attempt| format!("  (attempt {attempt})")).unwrap_or_default();
    let to =
        sends.to.as_deref().filter(|to| !to.is_empty()).map(|to| format!("  to {to}")).unwrap_or_default();
    let payload = brief(&sends.payload, BRIEF);
    format!("  {}  {}{to}{attempt}\n      {payload}\n", paint(color, &format!("{sign} {step}")), tame(name))
}

/// A value as JSON, for what this program puts together itself.
pub fn written(value: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string(value).context("cannot write the answer")?)
}
