//! The whole language: YAML, and the definition that is compiled from it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use snorri_core::Direction;
use snorri_core::definition::retry::Retry;
use snorri_core::definition::{Action, Awaited, Block, OnWaitTimeout, Sleep, Step, StepIndex, Trigger};
use snorri_definition::Compiled;

pub(super) const TRIP: &str = include_str!("trip.yaml");
pub(super) const SCHEMA: &str = r##"{
	"$id": "https://example.com/trip.json",
	"type": "object",
	"required": ["tripId", "legs"],
	"properties": { "tripId": { "type": "string" }, "legs": { "type": "array" }, "departure": { "$ref": "#/$defs/time" } },
	"$defs": { "time": { "type": "string" } }
}"##;

pub(super) fn trip() -> Compiled {
    let files = BTreeMap::from([
        ("schemas/trip.json".to_owned(), SCHEMA.to_owned()),
        ("schemas/unused.json".to_owned(), "{}".to_owned()),
    ]);
    snorri_definition::compile_with("trip.yaml", TRIP, &files).expect("the definition of a trip compiles")
}

fn step<'a>(compiled: &'a Compiled, name: &str) -> &'a Step {
    let index = compiled.definition.index_of(name).unwrap_or_else(|| panic!("no step {name}"));
    compiled.definition.step_at(index)
}

/// A block with the names of its steps, as it nests.
fn shown(compiled: &Compiled, block: &Block) -> String {
    let name = |index: &StepIndex| &*compiled.definition.step_at(*index).name;
    let all = |blocks: &[Block]| {
        let blocks: Vec<_> = blocks.iter().map(|block| shown(compiled, block)).collect();
        blocks.join(" ")
    };
    match block {
        Block::Step(index) => name(index).to_owned(),
        Block::Sequence(blocks) => format!("[{}]", all(blocks)),
        Block::Parallel(blocks) => format!("parallel({})", all(blocks)),
        Block::Choice(index, blocks) => format!("{}({})", name(index), all(blocks)),
        Block::ForEach(index, body) => format!("{}({})", name(index), shown(compiled, body)),
    }
}

#[test]
fn blocks_nest_as_they_are_written() {
    let trip = trip();
    let names: Vec<_> = trip.definition.steps().iter().map(|step| &*step.name).collect();
    assert_eq!(
        names.join(" "),
        "score choice#1 approval fail#1 legs book seats seat sleep#1 publish#1 sleep#2 paid fraud issue mail"
    );
    assert_eq!(
        shown(&trip, &trip.definition.body),
        "[score choice#1([approval fail#1] []) legs([book parallel([seats([seat])] [sleep#1 publish#1])]) \
         sleep#2 parallel([paid] [fraud]) issue mail]"
    );
    let index = |name| trip.definition.index_of(name).expect("a step");
    assert_eq!(step(&trip, "seat").within, [index("legs"), index("seats")]);
    assert_eq!(step(&trip, "publish#1").within, [index("legs")]);
    let Action::ForEach(legs) = &step(&trip, "legs").action else { panic!("a for_each") };
    assert_eq!((&*legs.item, legs.concurrency, legs.output.is_some()), ("leg", 4, true));
    assert_eq!(legs.steps, [index("book"), index("seats")]);
    let Action::ForEach(seats) = &step(&trip, "seats").action else { panic!("a for_each") };
    assert_eq!((&*seats.item, seats.concurrency, seats.output.is_some()), ("item", 1, false));
    assert_eq!(seats.steps, [index("seat")]);
}

#[test]
fn steps_have_the_values_of_their_yaml() {
    let trip = trip();
    let Action::Wait(approval) = &step(&trip, "approval").action else { panic!("a wait") };
    assert!(matches!(&approval.awaited, Awaited::Signal(signal) if &**signal == "approved"));
    assert_eq!((approval.timeout, approval.on_timeout), (Duration::from_hours(24), OnWaitTimeout::Hold));
    let Action::Wait(paid) = &step(&trip, "paid").action else { panic!("a wait") };
    assert_eq!(paid.on_timeout, OnWaitTimeout::Fail);
    let Action::Choice(conditions) = &step(&trip, "choice#1").action else { panic!("a choice") };
    assert_eq!(conditions.len(), 1, "and then `default`");
    assert!(
        matches!(step(&trip, "sleep#1").action, Action::Sleep(Sleep::For(time)) if time == Duration::from_secs(1))
    );
    assert!(matches!(step(&trip, "sleep#2").action, Action::Sleep(Sleep::Until(_))));
    let Action::Child(fraud) = &step(&trip, "fraud").action else { panic!("a child") };
    assert_eq!((&*fraud.definition, fraud.version, fraud.compensated), ("fraud-check", 1, false));
    let Action::Publish(publish) = &step(&trip, "publish#1").action else { panic!("a publish") };
    assert_eq!((&*publish.exchange, &*publish.event), ("trips.events", "leg.taken"));
    let Action::Fail { code, .. } = &step(&trip, "fail#1").action else { panic!("a fail") };
    assert_eq!((code.as_str(), step(&trip, "fail#1").when.is_some()), ("refused", true));
    assert!(step(&trip, "issue").is_pivot() && step(&trip, "mail").optional);
    let events: Vec<_> = trip.definition.events().map(|event| &*event.event).collect();
    assert_eq!(events, ["leg.booked", "payment.received"]);
}

#[test]
fn starts_and_settings_are_kept() {
    let definition = trip().definition;
    assert!(definition.lifecycle_events && definition.output_schema.is_some());
    let [Trigger::Event { event, when, input, .. }, Trigger::Schedule { cron, .. }] = &definition.starts[..]
    else {
        panic!("an event and a schedule")
    };
    assert_eq!((&**event, when.is_some(), input.is_some()), ("trip.wanted", true, true));
    assert_eq!(cron, "0 3 * * 1-5");
}

#[test]
fn the_setting_nearest_to_a_command_applies() {
    let trip = trip();
    let timing = |name: &str, direction| {
        let command = step(&trip, name).command(direction).expect("a command");
        (command.timeout, command.retry)
    };
    let retry = |attempts, first, most| Retry {
        attempts,
        first: Duration::from_millis(first),
        most: Duration::from_millis(most),
    };
    // Its own timeout, its policy's backoff, the attempts of the policy under `defaults`.
    let score = timing("score", Direction::Forward);
    assert_eq!(score, (Duration::from_secs(3), retry(9, 10, 20)));
    // The backoff of `defaults`, and the rest of its policy.
    let book = timing("book", Direction::Forward);
    assert_eq!(book, (Duration::from_mins(5), retry(9, 1_000, 2_000)));
    let cancel = timing("book", Direction::Compensate);
    assert_eq!(cancel, (Duration::from_secs(1), retry(10, 10, 20)));
}

#[test]
fn schemas_report_problems_without_values() {
    let trip = trip();
    let Action::Command(score) = &step(&trip, "score").action else { panic!("a command") };
    let schema = score.reply_schema.as_ref().expect("a schema");
    assert_eq!(schema.check(&json!({"risk": 3})), Ok(()));
    let problem = schema.check(&json!({"risk": "secret"})).expect_err("refused");
    assert_eq!(
        (problem.code.as_str(), problem.message.as_str()),
        ("schema", "/risk: value is not of type \"integer\"")
    );
}

#[test]
fn a_child_is_compensated_by_default() {
    let source = |extra: &str| {
        format!("saga: order\nversion: 1\nsteps: [{{ name: fraud, saga: fraud-check, version: 1{extra} }}]\n")
    };
    for (extra, compensated) in [("", true), (", compensate: none", false), (", pivot: true", false)] {
        let compiled = snorri_definition::compile("order.yaml", &source(extra)).expect("compiles");
        assert_eq!(step(&compiled, "fraud").has_compensation(), compensated, "{extra}");
    }
}

#[test]
fn two_branches_of_a_choice_may_have_a_pivot_each() {
    let source = "
saga: order
version: 1
defaults: { exchange: shop }
steps:
  - choice:
      - when: ${ input.card }
        steps: [{ name: charge, command: payment.charge, pivot: true }]
      - default: [{ name: invoice, command: invoice.send, pivot: true }]
  - name: pack
    command: shipping.pack
";
    snorri_definition::compile("order.yaml", source)
        .expect("compiles, and nothing after it needs a compensation");
}

/// The table of `docs/definitions.md`.
#[test]
fn durations_are_taken_as_they_are_written() {
    let sleeps = |text: &str| {
        let source = format!("saga: nap\nversion: 1\nsteps:\n  - name: nap\n    sleep: {text}\n");
        let compiled = snorri_definition::compile("nap.yaml", &source).ok()?;
        match compiled.definition.steps()[0].action {
            Action::Sleep(Sleep::For(duration)) => Some(duration.as_millis()),
            _ => None,
        }
    };
    const HOUR: u128 = 3_600_000;
    let taken = [
        ("200ms", 200),
        ("90s", 90_000),
        ("1h 30m", HOUR * 3 / 2),
        ("1h30m", HOUR * 3 / 2),
        ("1.5h", HOUR * 3 / 2),
        ("2 days", 48 * HOUR),
        ("1 wk", 168 * HOUR),
        ("1ms", 1),
        ("365d", 365 * 24 * HOUR),
    ];
    for (text, milliseconds) in taken {
        assert_eq!(sleeps(text), Some(milliseconds), "{text}");
    }
    for text in ["0s", "999us", "366d", "1 year", "10", "ten seconds", "1s-10s"] {
        assert_eq!(sleeps(text), None, "{text}");
    }
}
