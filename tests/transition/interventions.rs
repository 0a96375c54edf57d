//! Interventions in every state of a saga: a table of those that are accepted, and the reasons why the others are rejected.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use snorri_core::input::{Attempt, Intervention, Migrate, Reply, ReplyResult, Resolution};
use snorri_core::journal::{By, Problem, Started};
use snorri_core::{Definition, Direction, Input, SagaId, State, StepPath, Time, transition};
use uuid::Uuid;

const SOURCE: &str = r#"
saga: order
version: 1
timeout: 1h
defaults: { exchange: shop, timeout: 10s, retry: { attempts: 2, backoff: 1s } }
steps:
  - { name: reserve, command: stock.reserve, compensate: { command: stock.release } }
  - { name: charge, command: bank.charge, on_timeout: hold, compensate: { command: bank.refund } }
  - { name: ship, command: mail.ship, pivot: true }
  - { name: notify, command: mail.notify }
output: { code: "${ notify.output == null ? null : notify.output.code }" }
"#;

/// States of a saga, each with the inputs that lead to it.
const STATES: [(&str, &str); 18] = [
    ("never started", ""),
    ("running", "start"),
    ("waiting for the next attempt", "start error:reserve"),
    ("stopping", "start cancel"),
    ("held", "start success:reserve timeout timeout timeout"),
    ("pivot held", "start success:reserve success:charge timeout timeout timeout"),
    ("compensating", "start success:reserve failure:charge"),
    ("compensation held", "start success:reserve failure:charge compensation-failure:reserve"),
    ("past the pivot", "start success:reserve success:charge success:ship"),
    ("held past the pivot", "start success:reserve success:charge success:ship failure:notify"),
    ("without output", "start success:reserve success:charge success:ship success:notify"),
    ("paused", "start pause"),
    ("paused while stopping", "start cancel pause"),
    ("paused while held", "start success:reserve timeout timeout timeout pause"),
    ("paused while compensating", "start success:reserve failure:charge pause"),
    ("completed", "start success:reserve success:charge success:ship success:notify skip"),
    ("compensated", "start failure:reserve"),
    ("abandoned", "start success:reserve timeout timeout timeout abandon"),
];

const ACTIONS: [&str; 12] = [
    "cancel",
    "pause",
    "resume",
    "retry",
    "retry-step",
    "resolve",
    "resolve-failed",
    "skip",
    "skip-step",
    "rollback",
    "abandon",
    "migrate",
];

#[test]
fn every_intervention_in_every_state() {
    let mut table = String::new();
    for (name, inputs) in STATES {
        let (definition, state, now) = saga(inputs);
        writeln!(table, "{name} ({}, {} entries)", state.status().as_str(), state.seq).expect("written");
        for action in ACTIONS {
            let result = match transition(&definition, &state, &input(action, &state), now) {
                Err(ignored) => format!("- {}", ignored.code()),
                Ok(decision) => {
                    let paused = if decision.state.paused.is_some() { ", paused" } else { "" };
                    let sends = decision.messages.len();
                    format!("{}{paused}, sends {sends}", decision.state.status().as_str())
                }
            };
            writeln!(table, "  {action:<12}{result}").expect("written");
        }
    }
    insta::assert_snapshot!(table);
}

fn definition(version: u32) -> Arc<Definition> {
    let source = SOURCE.replace("version: 1", &format!("version: {version}"));
    snorri_definition::compile("order.yaml", &source).expect("it compiles").definition
}

fn saga(inputs: &str) -> (Arc<Definition>, State, Time) {
    let definition = definition(1);
    let mut state = State::new(SagaId(Uuid::from_u128(1)));
    let mut now = Time(0);
    for name in inputs.split_whitespace() {
        if name == "timeout" {
            now = state.wake.expect("a wake-up").max(now.after(Duration::from_millis(1)));
        }
        let decision = transition(&definition, &state, &input(name, &state), now);
        state = decision.unwrap_or_else(|ignored| panic!("{inputs}: {name}: {ignored}")).state;
    }
    (definition, state, now)
}

fn input(what: &str, state: &State) -> Input {
    let (verb, step) = what.split_once(':').unwrap_or((what, ""));
    let reply = |direction, result| {
        let step = StepPath::new(step);
        let number = state.step(&step).expect("it was sent").attempts(direction).last;
        Input::Reply(Reply { attempt: Attempt { step, direction, number }, result })
    };
    let problem = || Problem::of_participant("no", "");
    let held = || {
        let step = state.incidents.first().and_then(|incident| incident.step.clone());
        step.unwrap_or_else(|| StepPath::new("reserve"))
    };
    let act = |action| Input::Intervene { action, by: by() };
    match verb {
        "start" => Input::Start(Box::new(started())),
        "success" => reply(Direction::Forward, ReplyResult::Success(Arc::new(json!(1)))),
        "failure" => reply(Direction::Forward, ReplyResult::Failure(problem())),
        "error" => reply(Direction::Forward, ReplyResult::Error(problem())),
        "compensation-failure" => reply(Direction::Compensate, ReplyResult::Failure(problem())),
        "timeout" => Input::wake(),
        "cancel" => Input::Cancel(by()),
        "pause" => Input::Pause(by()),
        "resume" => Input::Resume(by()),
        "retry" => act(Intervention::Retry { step: None }),
        "retry-step" => act(Intervention::Retry { step: Some(held()) }),
        "resolve" => {
            act(Intervention::Resolve { step: held(), outcome: Resolution::Succeeded(Arc::new(Value::Null)) })
        }
        "resolve-failed" => act(Intervention::Resolve { step: held(), outcome: Resolution::Failed }),
        "skip" => act(Intervention::Skip { step: None }),
        "skip-step" => act(Intervention::Skip { step: Some(held()) }),
        "rollback" => act(Intervention::Rollback),
        "abandon" => act(Intervention::Abandon),
        "migrate" => Input::Migrate(Box::new(Migrate { to: definition(2), by: by() })),
        other => panic!("nothing is called `{other}`"),
    }
}

fn started() -> Started {
    Started {
        definition: "order".into(),
        version: 1,
        key: None,
        input: Arc::new(Value::Null),
        deadline: None,
        answer: None,
        trace_id: None,
        parent: None,
        attributes: BTreeMap::new(),
        inherited: None,
    }
}

fn by() -> By {
    By { actor: "ann".to_owned(), reason: "test".to_owned() }
}
