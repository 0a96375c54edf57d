//! What a new version of a definition changes, and whom that breaks.

use std::process::{Command, Output};

use rstest::rstest;
use serde_json::Value;
use snorri_definition::Compiled;
use snorri_definition::diff::{Diff, Whom, diff};

const ORDER: &str = include_str!("../../sagas/order.yaml");

/// A closed input and a step for each thing that can change.
const BOOKING: &str = "\
saga: booking
version: 1
input:
  type: object
  additionalProperties: false
  required: [id]
  properties:
    id: { type: string, minLength: 1 }
    seats: { type: integer, minimum: 1, maximum: 9 }
    class: { enum: [first, second] }
    contact: { $ref: '#/$defs/contact' }
  $defs:
    contact: { type: object, properties: { mail: { type: string } } }
key: ${ input.id }
timeout: 1h
defaults: { exchange: travel }
steps:
  - name: seat
    command: train.reserve
    payload: { id: '${ input.id }', seats: 1 }
    compensate: { command: train.release, payload: { id: '${ input.id }' } }
  - name: room
    command: hotel.reserve
    compensate: { command: hotel.release }
  - name: pay
    command: bank.charge
    pivot: true
output: { seat: '${ seat.output.number }', room: '${ room.output.number }' }
";

fn compiled(source: &str) -> Compiled {
    snorri_definition::compile("x.yaml", source).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What changes if `from` is replaced by `to`.
fn changed(from: &str, to: &str) -> Diff {
    assert!(BOOKING.contains(from), "`{from}` is not in the definition");
    let source = BOOKING.replacen(from, to, 1).replacen("version: 1", "version: 2", 1);
    diff(&compiled(BOOKING), &compiled(&source)).expect("two versions")
}

fn lines(diff: &Diff) -> Vec<String> {
    let breaks = |whom: Option<Whom>| whom.map(|whom| format!(" [{whom:?}]")).unwrap_or_default();
    diff.changes
        .iter()
        .map(|change| format!("{}: {}{}", change.place, change.change, breaks(change.breaks)))
        .collect()
}

#[rstest]
#[case::new_required("required: [id]", "required: [id, seats]", "input.seats: required now [Senders]")]
#[case::no_longer_required("required: [id]", "required: []", "input.id: no longer required")]
#[case::removed_from_closed(
    "    class: { enum: [first, second] }\n",
    "",
    "input.class: removed, and refused now [Senders]"
)]
#[case::narrowed(
    "seats: { type: integer",
    "seats: { type: 'null'",
    "input.seats: null (it was integer) [Senders]"
)]
#[case::widened_type(
    "seats: { type: integer",
    "seats: { type: number",
    "input.seats: number (it was integer)"
)]
#[case::value_removed("[first, second]", "[first]", "input.class: no longer \"second\" [Senders]")]
#[case::value_added("[first, second]", "[first, second, third]", "input.class: also \"third\"")]
#[case::minimum("minimum: 1", "minimum: 2", "input.seats: `minimum` is 2 (it was 1) [Senders]")]
#[case::maximum("maximum: 9", "maximum: 99", "input.seats: `maximum` is 99 (it was 9)")]
#[case::no_bound(", maximum: 9", "", "input.seats: no `maximum` any more (it was 9)")]
#[case::pattern("minLength: 1", "minLength: 1, pattern: '^b-'", "input.id: has `pattern` now [Senders]")]
#[case::behind_a_reference(
    "mail: { type: string }",
    "mail: { type: string, maxLength: 99 }",
    "input.contact.mail: `maxLength` is 99 now [Senders]"
)]
#[case::optional_added("class: {", "note: { type: string }\n    class: {", "input.note: added")]
#[case::closed(
    "additionalProperties: false",
    "additionalProperties: true",
    "input: other properties can be there now"
)]
#[case::key(
    "key: ${ input.id }",
    "key: b-${ input.id }",
    "key: computed differently: `b-${ input.id }` (it was `${ input.id }`) [Senders]"
)]
#[case::attribute(
    "timeout: 1h",
    "timeout: 1h\nattributes: { seats: \"${ input.seats }\" }",
    "attributes.seats: added: `${ input.seats }`"
)]
#[case::timeout("timeout: 1h", "timeout: 2h", "timeout: 2h (it was 1h)")]
#[case::setting("timeout: 1h", "timeout: 1h\non_late_reply: stuck", "on_late_reply: stuck (it was record)")]
#[case::routing_key(
    "command: hotel.reserve",
    "command: hotel.book",
    "steps.room.command: `hotel.book` to `travel` (it was `hotel.reserve` to `travel`) [Participants]"
)]
#[case::known_routing_key(
    "command: hotel.reserve",
    "command: bank.charge",
    "steps.room.command: `bank.charge` to `travel` (it was `hotel.reserve` to `travel`)"
)]
#[case::payload_removed(", seats: 1 }", " }", "steps.seat.payload.seats: removed [Participants]")]
#[case::payload_added(", seats: 1 }", ", seats: 1, class: 2 }", "steps.seat.payload.class: added")]
#[case::payload_changed("seats: 1 }", "seats: 2 }", "steps.seat.payload.seats: 2 (it was 1)")]
#[case::payload_of_compensation(
    "train.release, payload: { id: '${ input.id }' }",
    "train.release",
    "steps.seat.compensate.payload.id: removed [Participants]"
)]
#[case::compensation_removed(
    "compensate: { command: hotel.release }",
    "compensate: none",
    "steps.room.compensate: removed: `hotel.release` is no longer sent, the step stays as it is [Rollback]"
)]
#[case::retry(
    "pivot: true",
    "pivot: true\n    retry: { attempts: 9 }",
    "steps.pay.retry: 9 attempts, 200ms..30s (it was 5 attempts, 200ms..30s)"
)]
#[case::output_removed(
    "output: { seat: '${ seat.output.number }', room:",
    "output: { room:",
    "output.seat: removed [Readers]"
)]
#[case::output_added("output: { seat:", "output: { id: 1, seat:", "output.id: added")]
fn one_change_is_listed_and_classified(#[case] from: &str, #[case] to: &str, #[case] expected: &str) {
    let diff = changed(from, to);
    assert_eq!(lines(&diff), [expected]);
    assert_eq!(diff.breaking, expected.ends_with(']'));
    assert!(diff.notes.is_empty(), "{:?}", diff.notes);
}

#[test]
fn an_added_step_breaks_participants() {
    let more = "  - name: mail\n    command: mail.send\noutput:";
    assert_eq!(
        lines(&changed("output:", more)),
        ["steps.mail: added: sends `mail.send` to `travel` [Participants]"]
    );
    let again = "  - name: again\n    command: bank.charge\noutput:";
    assert_eq!(
        lines(&changed("output:", again)),
        ["steps.again: added: sends `bank.charge` to `travel`, as others do"]
    );
}

#[test]
fn a_removed_step_breaks_only_its_readers() {
    let room = "  - name: room\n    command: hotel.reserve\n    compensate: { command: hotel.release }\n";
    let source = BOOKING.replace(room, "").replace(", room: '${ room.output.number }'", "");
    let diff = diff(&compiled(BOOKING), &compiled(&source)).expect("two versions");
    assert_eq!(
        lines(&diff),
        ["steps.room: removed: `hotel.reserve` is no longer sent", "output.room: removed [Readers]"]
    );
    assert_eq!(
        diff.notes,
        ["version 1 is not higher than 1, and a registered version never changes: write `version: 2`"]
    );
}

#[test]
fn another_order_is_not_breaking() {
    let source = BOOKING.replace("name: seat", "name: x").replace("name: room", "name: seat");
    let source = source.replace("name: x", "name: room");
    let lines = lines(&diff(&compiled(BOOKING), &compiled(&source)).expect("two versions"));
    assert!(
        lines.contains(&"steps: another order: room, seat, pay (it was seat, room, pay)".into()),
        "{lines:?}"
    );
}

#[test]
fn another_pivot_breaks_the_rollback() {
    let source = BOOKING
        .replace("\n    compensate: { command: hotel.release }", "\n    pivot: true")
        .replace("bank.charge\n    pivot: true", "bank.charge");
    let lines = lines(&diff(&compiled(BOOKING), &compiled(&source)).expect("two versions"));
    assert!(lines.contains(&"pivot: room (it was pay) [Rollback]".into()), "{lines:?}");
}

#[test]
fn a_schema_that_refers_to_itself_has_an_end() {
    let tree = |most: u32| {
        format!(
            "saga: tree\nversion: {most}\ndefaults: {{ exchange: x }}\nsteps: [{{ name: a, command: b, pivot: true }}]\n\
             input:\n  $ref: '#/$defs/node'\n  $defs:\n    node:\n      type: object\n      properties:\n        \
             children: {{ type: array, maxItems: {most}, items: {{ $ref: '#/$defs/node' }} }}\n"
        )
    };
    let diff = diff(&compiled(&tree(3)), &compiled(&tree(2))).expect("two versions");
    assert_eq!(lines(&diff), ["input.children: `maxItems` is 2 (it was 3) [Senders]"]);
    assert_eq!(diff.notes.len(), 1);
}

#[test]
fn nothing_changes_nothing() {
    let same = diff(&compiled(ORDER), &compiled(ORDER)).expect("one version");
    assert_eq!((same.changes.len(), same.breaking, same.notes.len()), (0, false, 0));
}

#[test]
fn two_sagas_are_not_compared() {
    let error = diff(&compiled(ORDER), &compiled(BOOKING)).expect_err("two sagas").to_string();
    assert_eq!(error, "these are two sagas, not two versions of one: `order` and `booking`");
}

/// A saga of all kinds of steps.
const TRIP: &str = "\
saga: trip
version: 1
key: ${ input.id }
lifecycle_events: true
start:
  - event: trip.asked
    exchange: travel.events
defaults: { exchange: travel }
steps:
  - for_each: ${ input.legs }
    as: leg
    name: legs
    steps:
      - name: book
        command: rail.book
        payload: { leg: '${ leg.id }' }
        reply: { type: object, required: [ref], properties: { ref: { type: string } } }
        reply_events:
          - event: rail.booked
            exchange: rail.events
            correlate: ${ event.trip }
            outcome: success
        compensate: { command: rail.cancel }
  - name: approval
    wait: { signal: approved }
    timeout: 1d
  - choice:
      - when: ${ input.insured }
        steps:
          - name: insure
            saga: insurance
            version: 1
      - default:
          - publish: trip.uninsured
            name: notice
            exchange: travel.events
            payload: { id: '${ input.id }', why: choice }
  - name: pay
    command: bank.charge
    pivot: true
output: { legs: '${ legs.output }' }
output_schema: { type: object, required: [legs], properties: { legs: { type: array } } }
";

#[rstest]
#[case::item("as: leg", "as: stop", "leg.id", "stop.id", &["steps.legs.as: stop (it was leg)", "steps.book.payload.leg: \"${ stop.id }\" (it was \"${ leg.id }\")"])]
#[case::reply("[ref]", "[ref, seat]", "", "", &["steps.book.reply.seat: added, and required [Participants]"])]
#[case::reply_event("rail.booked", "rail.done", "", "", &[
    "steps.book.reply_events: no longer the event `rail.booked` of `rail.events` for `event.trip` as success [Participants]",
    "steps.book.reply_events: now the event `rail.done` of `rail.events` for `event.trip` as success",
])]
#[case::signal("signal: approved", "signal: agreed", "", "", &["steps.approval.wait: the signal `agreed` (it was the signal `approved`) [Senders]"])]
#[case::patience("timeout: 1d", "timeout: 2d", "", "", &["steps.approval.timeout: 2d (it was 1d)"])]
#[case::condition("${ input.insured }", "${ !input.insured }", "", "", &["steps.choice#1.choice: !input.insured (it was input.insured)"])]
#[case::child("saga: insurance\n            version: 1", "saga: insurance\n            version: 2", "", "", &["steps.insure.saga: insurance@2 (it was insurance@1)"])]
#[case::child_stays("saga: insurance", "saga: insurance\n            compensate: none", "", "", &["steps.insure.compensate: no longer compensated with this saga [Rollback]"])]
#[case::event("publish: trip.uninsured", "publish: trip.bare", "", "", &["steps.notice.publish: `trip.bare` to `travel.events` (it was `trip.uninsured` to `travel.events`) [Readers]"])]
#[case::event_field(", why: choice", "", "", "", &["steps.notice.payload.why: removed [Readers]"])]
#[case::start("event: trip.asked", "event: trip.wanted", "", "", &[
    "start: no longer by the event `trip.asked` of `travel.events` [Senders]",
    "start: now also by the event `trip.wanted` of `travel.events`",
])]
#[case::lifecycle("lifecycle_events: true\n", "", "", "", &["lifecycle_events: no longer published [Readers]"])]
#[case::output_schema("required: [legs]", "required: []", "", "", &["output_schema.legs: no longer required [Readers]"])]
fn all_kinds_of_steps_are_compared(
    #[case] from: &str,
    #[case] to: &str,
    #[case] also: &str,
    #[case] then: &str,
    #[case] expected: &[&str],
) {
    let source = TRIP.replacen(from, to, 1);
    let source = if also.is_empty() { source } else { source.replacen(also, then, 1) };
    assert_ne!(source, TRIP);
    assert_eq!(lines(&diff(&compiled(TRIP), &compiled(&source)).expect("two versions")), expected);
}

#[test]
fn schemas_in_files_are_compared_too() {
    let source = TRIP.replace("{ type: array }", "{ $ref: 'schemas/legs.yaml' }");
    let version = |text: &str| {
        let files = [("schemas/legs.yaml".to_owned(), text.to_owned())].into();
        snorri_definition::compile_with("x.yaml", &source, &files).unwrap_or_else(|errors| panic!("{errors}"))
    };
    let (old, new) = (version("{ type: array, maxItems: 3 }"), version("{ type: array, maxItems: 9 }"));
    assert_eq!(
        lines(&diff(&old, &new).expect("two versions")),
        ["output_schema.legs: `maxItems` is 9 (it was 3) [Readers]"]
    );
}

mod the_command {
    use super::*;

    fn run(old: &str, new: &str, flags: &[&str]) -> Output {
        let directory = tempfile::tempdir().expect("a directory");
        let (first, second) = (directory.path().join("old.yaml"), directory.path().join("new.yaml"));
        std::fs::write(&first, old).expect("written");
        std::fs::write(&second, new).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_snorri"));
        command.arg("diff").args([first, second]).args(flags).output().expect("it runs")
    }

    #[test]
    fn prints_a_table() {
        let new = BOOKING
            .replace("version: 1", "version: 2")
            .replace("required: [id]", "required: [id, seats]")
            .replace("timeout: 1h", "timeout: 2h");
        let output = run(BOOKING, &new, &[]);
        assert_eq!(output.status.code(), Some(1));
        insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout), @r"
        booking 1 → 2: 2 changes, 1 breaking
        ✗ input.seats  required now  breaks senders
        ✓ timeout      2h (it was 1h)
        ");
    }

    #[test]
    fn prints_json() {
        let output = run(BOOKING, &BOOKING.replace("timeout: 1h", "timeout: 2h"), &["--output", "json"]);
        assert_eq!(output.status.code(), Some(0));
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(json["changes"][0]["place"], "timeout");
        assert_eq!((&json["breaking"], &json["changes"][0]["breaks"]), (&Value::Bool(false), &Value::Null));
    }

    #[test]
    fn fails_without_two_versions_of_a_saga() {
        let output = run(ORDER, BOOKING, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("two sagas"));
        assert_eq!(run(ORDER, "saga: order", &[]).status.code(), Some(2));
    }
}
