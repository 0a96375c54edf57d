//! Sample rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use snorri_core::journal::InterventionKind;
use snorri_core::journal::{AnswerTo, By, Cause, Fact, Problem, ReplyKind, SkipReason, Started, StopReason};
use snorri_core::{Direction, Entry, SagaId, Status, Time};
use snorri_ports::store::{Appended, AuditEntry, Batch, ChangedSaga, MessageRef, OutboxRow, SagaRow};
use uuid::Uuid;

/// Text that naive quoting, escaping or encoding would spoil.
pub(crate) const AWKWARD: &str =
    "it's \"quoted\" \\ $1 ?1 :x; -- {a,b} NULL\n\t\u{1}\u{7f} ü ß 漢字 🦀 \u{202e}rtl\u{10ffff}";

/// When the sagas with entries start.
pub(crate) const STARTED_AT: i64 = 10;

pub(crate) fn saga_id() -> SagaId {
    SagaId(Uuid::now_v7())
}

pub(crate) fn entry(at: i64, facts: Vec<Fact>) -> Entry {
    Entry { at: Time(at), cause: Cause::Start, facts }
}

/// An entry that differs from others by its number.
pub(crate) fn numbered(number: i64) -> Entry {
    entry(number, vec![Fact::TimerSet { at: Some(Time(number)) }])
}

pub(crate) fn appended(saga: SagaId, seq: u32, entry: Entry) -> Appended {
    Appended { saga, started_at: Time(STARTED_AT), seq, entry }
}

pub(crate) fn row(id: SagaId, started_at: i64) -> SagaRow {
    SagaRow {
        id,
        definition: "order".into(),
        version: 1,
        key: None,
        status: Status::Running,
        started_at: Time(started_at),
        changed_at: Time(started_at),
        paused: false,
    }
}

/// The id follows from the key.
pub(crate) fn with_key(row: SagaRow, key: &str) -> SagaRow {
    SagaRow { id: SagaId::of_key(&row.definition, key), key: Some(key.to_owned()), ..row }
}

pub(crate) fn without_timer(row: SagaRow) -> ChangedSaga {
    ChangedSaga { row, is_new: false, timer: None }
}

/// A saga that is to be woken at this time, if any.
pub(crate) fn timed(saga: SagaId, due: Option<i64>) -> ChangedSaga {
    ChangedSaga { row: row(saga, STARTED_AT), is_new: false, timer: due.map(Time) }
}

pub(crate) fn audit(at: i64, action: &str) -> AuditEntry {
    AuditEntry {
        id: Uuid::now_v7(),
        at: Time(at),
        actor: AWKWARD.to_owned(),
        action: action.to_owned(),
        reason: String::new(),
        saga: None,
        seq: None,
        step: None,
        definition: None,
        before: Value::Null,
        after: json!({AWKWARD: 1}),
    }
}

/// A row with the first message of a saga.
pub(crate) fn unsent(saga: SagaId) -> OutboxRow {
    OutboxRow::new(vec![MessageRef { saga, seq: 1, index: 0 }])
}

/// A saga's first batch: one row in every table.
pub(crate) fn first(saga: SagaId, at: i64) -> Batch {
    Batch {
        entries: vec![appended(saga, 1, numbered(at))],
        sagas: vec![ChangedSaga { is_new: true, ..timed(saga, Some(at)) }],
        outbox: vec![unsent(saga)],
        outbox_reserved_until: Time(at),
        ..Batch::default()
    }
}

/// One entry for each cause, with every kind of fact among them.
pub(crate) fn all_kinds() -> Vec<Entry> {
    let by = || By { actor: AWKWARD.to_owned(), reason: String::new() };
    let step = || "ship[3][0]".parse().expect("a path");
    let (direction, attempt) = (Direction::Compensate, 7);
    let reply = |result| Cause::Reply { step: step(), direction, attempt, result };
    let causes = [
        Cause::Start,
        reply(ReplyKind::Success),
        reply(ReplyKind::Failure),
        reply(ReplyKind::Error),
        Cause::Unroutable { step: step(), direction, attempt },
        Cause::TimerFired,
        Cause::Cancel(by()),
        Cause::Pause(by()),
        Cause::Resume(by()),
        Cause::Migrate { from: 1, to: 2, by: by() },
        Cause::Intervention { action: InterventionKind::Retry, step: Some(step()), by: by() },
        Cause::Intervention { action: InterventionKind::Abandon, step: None, by: by() },
    ];
    let entries =
        causes.into_iter().zip(1..).map(|(cause, at)| Entry { at: Time(at), cause, facts: facts() });
    entries.collect()
}

fn facts() -> Vec<Fact> {
    let step = || "ship[3][0]".parse().expect("a path");
    let direction = Direction::Forward;
    let problem = || Problem { details: Some(value()), ..Problem::of_participant("refused", AWKWARD) };
    let started = Started {
        definition: "order".into(),
        version: u32::MAX,
        key: Some(AWKWARD.to_owned()),
        input: Arc::new(value()),
        deadline: Some(Time(i64::MAX)),
        answer: Some(AnswerTo { queue: "q".to_owned(), correlation_id: None }),
        trace_id: None,
        parent: None,
        attributes: BTreeMap::new(),
        inherited: None,
    };
    vec![
        Fact::Started(Box::new(started)),
        Fact::Sent { step: step(), direction, attempt: 1, deadline: Time(i64::MIN) },
        Fact::RetryScheduled { step: step(), direction, at: Time(0), problem: problem() },
        Fact::Completed { step: step(), output: Arc::new(value()) },
        Fact::Failed { step: step(), problem: problem() },
        Fact::Unknown { step: step(), problem: problem() },
        Fact::Compensated { step: step() },
        Fact::Skipped { step: step(), direction, reason: SkipReason::Operator },
        Fact::Held { step: step(), direction, problem: problem() },
        Fact::Retried { step: step(), direction },
        Fact::Stopping { reason: StopReason::TimedOut, problem: problem() },
        Fact::RollbackRevoked,
        Fact::RollbackBegan,
        Fact::LateReply { step: step(), output: Arc::new(Value::Null) },
        Fact::Overdue,
        Fact::Paused,
        Fact::Resumed { held_millis: u64::MAX },
        Fact::Migrated { version: 2 },
        Fact::IncidentRaised { step: None, problem: problem() },
        Fact::IncidentCleared { step: Some(step()) },
        Fact::TimerSet { at: None },
        Fact::Ended { status: Status::Abandoned, output: Some(Arc::new(value())) },
    ]
}

/// JSON whose numbers and strings are easily changed on the way.
fn value() -> Value {
    // From a linear congruence: floats of 17 digits, which a careless parser reads as their neighbours.
    let mut seed = 1_u64;
    let floats = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed as f64 / 1e9_f64.powi((seed % 5) as i32)
    });
    json!({
        "floats": floats.take(100).collect::<Vec<_>>(),
        "integers": [u64::MAX, i64::MIN, 0, -1],
        AWKWARD: [AWKWARD, "", "\0"],
        "nothing": null,
    })
}
