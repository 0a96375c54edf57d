//! Scripts: given a definition and events, expect what the saga does.
//!
//! Each file in `tests/scripts` is a definition and a script. A line of the script that is not indented is an event; the
//! indented lines below it are the consequences. Run with `SNORRI_UPDATE_SCRIPTS=1` to write the consequences again, and read
//! the difference before you keep it.
//!
//! | line | event |
//! | --- | --- |
//! | `start JSON` | the saga is started with this input |
//! | `success STEP [JSON]`, `failure STEP CODE`, `error STEP CODE` | a reply to the step's latest attempt |
//! | `... compensate STEP ...` | the same to its compensation; `#N` before the step names an earlier attempt |
//! | `unroutable [compensate] STEP` | the broker returns the latest attempt |
//! | `unsent [compensate] STEP` | from here on the broker has not confirmed the latest attempt |
//! | `taken [compensate] STEP` | the broker confirms it only now |
//! | `signal NAME [#ID] [JSON]`, `event EXCHANGE EVENT [#ID] [JSON]` | a signal or a domain event arrives |
//! | `start-child JSON`, `compensation-requested N` | the saga is a child, and its parent wants it compensated |
//! | `after DURATION` | time passes; the saga's timers fire |
//! | `cancel`, `retry [STEP]`, `skip [STEP]`, `resolve STEP JSON`, `resolve-not-done STEP`, `rollback`, `abandon`, `raise-limits`, `pause`, `resume` | an operator acts |
//! | `migrate [OLD => NEW]` | the saga continues with the next version, which has `NEW` for `OLD`; `\n` is the end of a line |
//! | `restart STEP` | a new saga with the same input continues from there |
//! | `look` | prints the upcoming steps, the waits, and the allowed actions |

mod format;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use format::{format_fact, format_message};
use serde_json::Value;
use snorri_core::input::{Attempt, Intervention, Migrate, Reply, ReplyResult, Resolution};
use snorri_core::journal::{
    By, EventSource, Fact, InterventionKind, Parent, Problem, ReceivedEvent, SkipReason, Started,
};
use snorri_core::{
    Definition, Direction, Input, Message, SagaId, State, StepPath, Time, outlook, restart, transition,
};
use uuid::Uuid;

const SEPARATOR: &str = "\n--- script\n";

#[test]
fn every_script_has_the_written_consequences() {
    let update = std::env::var_os("SNORRI_UPDATE_SCRIPTS").is_some();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).expect("scripts").map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(paths.len() >= 20, "only {} scripts", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a script");
        let (source, script) = text.split_once(SEPARATOR).expect("a definition, `--- script`, a script");
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let compiled = snorri_definition::compile(&file, source).unwrap_or_else(|errors| panic!("{errors}"));
        let played = play(&compiled.definition, source, script);
        if update {
            std::fs::write(&path, format!("{source}{SEPARATOR}{played}")).expect("written");
        } else if played != script {
            wrong.push(format!("{file}: expected\n{script}\nbut it went\n{played}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The script with the actual consequences of each line.
fn play(definition: &Arc<Definition>, source: &str, script: &str) -> String {
    let mut stage = Stage::new(definition, source);
    let events = script.lines().filter(|line| !line.starts_with("  "));
    for line in events {
        writeln!(stage.out, "{line}").expect("written");
        if !line.is_empty() && !line.starts_with('#') {
            stage.happen(line);
        }
    }
    stage.out
}

struct Stage {
    definition: Arc<Definition>,
    source: String,
    state: State,
    entries: Vec<snorri_core::Entry>,
    now: Time,
    unsent: Vec<Attempt>,
    out: String,
}

impl Stage {
    fn new(definition: &Arc<Definition>, source: &str) -> Self {
        let state = State::new(SagaId(Uuid::from_u128(1)));
        Self {
            definition: Arc::clone(definition),
            source: source.to_owned(),
            state,
            entries: Vec::new(),
            now: Time(0),
            unsent: Vec::new(),
            out: String::new(),
        }
    }

    fn happen(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "start" => self.take(&Input::Start(Box::new(self.started(rest)))),
            "start-child" => {
                let parent =
                    Parent { saga: SagaId(Uuid::from_u128(2)), step: StepPath::new("part"), attempt: 1 };
                let started = Started { parent: Some(parent), ..self.started(rest) };
                self.take(&Input::Start(Box::new(started)));
            }
            "compensation-requested" => {
                self.take(&Input::Compensate { attempt: rest.parse().expect("a number") });
            }
            "signal" | "event" => self.take(&Input::Event(Arc::new(arrival(verb, rest)))),
            "after" => self.pass(humantime::parse_duration(rest).expect("a duration")),
            "success" | "failure" | "error" => {
                let (attempt, rest) = self.attempt(rest);
                let result = match verb {
                    "success" => ReplyResult::Success(Arc::new(json(rest))),
                    "failure" => ReplyResult::Failure(Problem::of_participant(rest, "")),
                    _ => ReplyResult::Error(Problem::of_participant(rest, "")),
                };
                self.take(&Input::Reply(Reply { attempt, result }));
            }
            "unroutable" => {
                let (attempt, _) = self.attempt(rest);
                self.take(&Input::Unroutable(attempt));
            }
            "unsent" => {
                let (attempt, _) = self.attempt(rest);
                self.unsent.push(attempt);
            }
            "taken" => {
                let (attempt, _) = self.attempt(rest);
                self.unsent.retain(|unsent| *unsent != attempt);
                self.take(&Input::StartClock(attempt));
            }
            "cancel" => self.take(&Input::Cancel(by())),
            "pause" => self.take(&Input::Pause(by())),
            "resume" => self.take(&Input::Resume(by())),
            "migrate" => self.migrate(rest),
            "restart" => self.restart(rest),
            "look" => self.look(),
            _ => self.take(&Input::Intervene { action: intervention(verb, rest), by: by() }),
        }
    }

    fn migrate(&mut self, change: &str) {
        let version = self.definition.version;
        let number = |version: u32| format!("version: {version}\n");
        let mut source = self.source.replacen(&number(version), &number(version + 1), 1);
        if let Some((old, new)) = change.split_once(" => ") {
            let (old, new) = (old.replace("\\n", "\n"), new.replace("\\n", "\n"));
            assert!(source.contains(&old), "no `{old}` in {source}");
            source = source.replacen(&old, &new, 1);
        }
        let compiled =
            snorri_definition::compile("next", &source).unwrap_or_else(|errors| panic!("{errors}"));
        let before = self.state.seq;
        let to = Arc::clone(&compiled.definition);
        self.take(&Input::Migrate(Box::new(Migrate { to, by: by() })));
        if self.state.seq > before {
            assert_eq!(self.state.version(), version + 1);
            self.definition = compiled.definition;
            self.source = source;
        }
    }

    fn restart(&mut self, from: &str) {
        match restart::carry(&self.definition, &self.state, from) {
            Err(error) => writeln!(self.out, "  cannot ({}): {error}", error.code()).expect("written"),
            Ok(carried) => {
                for fact in &carried.facts {
                    let text = format_fact(fact, &mut std::iter::empty()).expect("something became of it");
                    writeln!(self.out, "  carries {text}").expect("written");
                }
                let input = self.state.started.as_ref().expect("a saga").input.to_string();
                let started = Started { inherited: Some(carried), ..self.started(&input) };
                self.state = State::new(SagaId(Uuid::from_u128(self.state.id.0.as_u128() + 1)));
                self.entries.clear();
                self.take(&Input::Start(Box::new(started)));
            }
        }
    }

    fn look(&mut self) {
        let mut lines = vec![outlook::waits_for(&self.definition, &self.state)];
        lines.extend(outlook::upcoming_steps(&self.definition, &self.state).iter().map(|ahead| {
            let name = ahead.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            let perhaps = if ahead.conditional { ", perhaps" } else { "" };
            format!("ahead: {} {}{name}{perhaps}", ahead.step, ahead.action.as_str())
        }));
        lines.extend(outlook::timers(&self.state).iter().map(|timer| {
            let step = timer.step.as_ref().map_or("the saga".to_owned(), ToString::to_string);
            format!("timer: {} of {step} at {} ms", timer.kind.as_str(), timer.at.0)
        }));
        lines.extend(self.state.incidents.iter().map(|incident| {
            let can = outlook::allowed_actions(&self.definition, &self.state, incident);
            let can: Vec<_> = can.into_iter().map(InterventionKind::as_str).collect();
            format!("{} can: {}", incident.problem.code, can.join(", "))
        }));
        for line in lines {
            writeln!(self.out, "  {line}").expect("written");
        }
    }

    fn started(&self, input: &str) -> Started {
        Started {
            definition: Arc::clone(&self.definition.name),
            version: self.definition.version,
            key: None,
            input: Arc::new(json(input)),
            deadline: None,
            answer: None,
            trace_id: None,
            parent: None,
            attributes: BTreeMap::new(),
            inherited: None,
        }
    }

    /// Reads `[compensate] [#N] STEP REST`.
    fn attempt<'b>(&self, text: &'b str) -> (Attempt, &'b str) {
        let (direction, text) = match text.strip_prefix("compensate ") {
            Some(text) => (Direction::Compensate, text),
            None => (Direction::Forward, text),
        };
        let (number, text) = match text.strip_prefix('#').and_then(|text| text.split_once(' ')) {
            Some((number, text)) => (Some(number.parse().expect("a number")), text),
            None => (None, text),
        };
        let (step, rest) = text.split_once(' ').unwrap_or((text, ""));
        let step: StepPath = step.parse().expect("a step");
        let latest = self.state.step(&step).map_or(1, |state| state.attempts(direction).last);
        (Attempt { step, direction, number: number.unwrap_or(latest) }, rest)
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some(at) = self.state.wake.filter(|&at| at <= end) {
            self.now = at.max(self.now);
            writeln!(self.out, "  ({} passed)", humantime::format_duration(self.now.since(Time(0))))
                .expect("written");
            let before = self.state.seq;
            self.take(&Input::Wake { unsent: self.unsent.clone() });
            // A delayed input is repeated after the next event.
            if self.state.seq == before {
                break;
            }
        }
        self.now = end;
    }

    fn take(&mut self, input: &Input) {
        let before = self.state.status();
        match transition(&self.definition, &self.state, input, self.now) {
            Err(ignored) => writeln!(self.out, "  ignored: {ignored}").expect("written"),
            Ok(decision) => {
                let stored = serde_json::to_string(&decision.entry).expect("JSON");
                self.entries.push(serde_json::from_str(&stored).expect("an entry reads as it writes"));
                assert_eq!(self.entries.last(), Some(&decision.entry), "an entry reads as it writes");
                self.state = decision.state;
                let replayed = State::replay(self.state.id, &self.entries);
                assert_eq!(replayed, self.state, "replay of the journal gives the same state");
                let mut messages = decision.messages.iter();
                let facts = self.entries.last().map_or(&[][..], |entry| &entry.facts);
                for fact in facts {
                    if let Some(text) = format_fact(fact, &mut messages) {
                        writeln!(self.out, "  {text}").expect("written");
                    }
                }
                for message in messages {
                    if let Some(text) = format_message(message) {
                        writeln!(self.out, "  {text}").expect("written");
                    }
                }
                if self.state.status() != before {
                    writeln!(self.out, "  => {}", self.state.status().as_str()).expect("written");
                }
            }
        }
    }
}

fn intervention(verb: &str, rest: &str) -> Intervention {
    let step = || (!rest.is_empty()).then(|| path(rest));
    match verb {
        "retry" => Intervention::Retry { step: step() },
        "skip" => Intervention::Skip { step: step() },
        "resolve" => {
            let (step, output) = rest.split_once(' ').expect("a step and its output");
            let outcome = Resolution::Succeeded(Arc::new(json(output)));
            Intervention::Resolve { step: path(step), outcome }
        }
        "resolve-not-done" => Intervention::Resolve { step: path(rest), outcome: Resolution::Failed },
        "rollback" => Intervention::Rollback,
        "abandon" => Intervention::Abandon,
        "raise-limits" => Intervention::RaiseLimits,
        other => panic!("nothing is called `{other}`"),
    }
}

/// Reads `NAME [#ID] [JSON]` or `EXCHANGE EVENT [#ID] [JSON]`.
fn arrival(verb: &str, rest: &str) -> ReceivedEvent {
    let word = |text: &str| {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        (word.to_owned(), rest.to_owned())
    };
    let (first, rest) = word(rest);
    let (source, rest) = match verb {
        "signal" => (EventSource::Signal(first.into()), rest),
        _ => {
            let (event, rest) = word(&rest);
            (EventSource::Event { exchange: first.into(), event: event.into() }, rest)
        }
    };
    let (id, rest) = match rest.strip_prefix('#') {
        Some(text) => {
            let (id, rest) = word(text);
            (Some(id), rest)
        }
        None => (None, rest),
    };
    ReceivedEvent { source, id, body: json(&rest) }
}

fn path(text: &str) -> StepPath {
    text.parse().expect("the path of a step")
}

fn by() -> By {
    By { actor: "ann".to_owned(), reason: "test".to_owned() }
}

fn json(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { serde_json::from_str(text).expect("JSON") }
}
