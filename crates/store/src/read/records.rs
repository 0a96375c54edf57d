//! Reads dead letters, the audit, and the runs of schedules.

use sea_orm::{QueryResult, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::parameters::text;
use crate::read::question::Question;
use crate::session::error::SqlError;
use crate::sql_store::SqlStore;
use snorri_core::{SagaId, Time};
use snorri_ports::store::{AuditEntry, AuditFilter, DeadLetter, LetterFilter, ScheduleRun};

const LETTER: &str =
    "SELECT id, at, queue, code, reason, saga, step, properties, body, resolved_at FROM dead_letter";

const AUDIT: &str =
    "SELECT id, at, actor, action, reason, saga, seq, step, definition, before, after FROM audit";

const RAN: &str = "\
INSERT INTO schedule (definition, cron, ran_at) VALUES ($1, $2, $3)
ON CONFLICT (definition, cron) DO UPDATE SET ran_at = excluded.ran_at
WHERE schedule.ran_at < excluded.ran_at OR schedule.ran_at > $4";

const RUNS: &str = "SELECT definition, cron, ran_at FROM schedule ORDER BY definition, cron";

pub(crate) async fn dead_letters(
    store: &SqlStore,
    filter: &LetterFilter,
    limit: u32,
) -> Result<Vec<DeadLetter>, SqlError> {
    let LetterFilter { saga, queue, code, resolved, after } = filter;
    let mut question = Question::new(LETTER);
    question.filter("saga", saga.map(|saga| saga.0));
    question.filter("queue", queue.as_deref().map(text));
    question.filter("code", code.as_deref().map(text));
    if !resolved {
        question.and("resolved_at IS NULL");
    }
    let found = store.query(question.newest_first(store, *after, limit)).await?;
    Ok(store.logged.readable(found.iter().map(read_letter)))
}

pub(crate) async fn dead_letter(store: &SqlStore, id: Uuid) -> Result<Option<DeadLetter>, SqlError> {
    let found = store.query(store.statement(format!("{LETTER} WHERE id = $1"), [id.into()])).await?;
    found.first().map(read_letter).transpose()
}

fn read_letter(row: &QueryResult) -> Result<DeadLetter, SqlError> {
    Ok(DeadLetter {
        id: row.try_get_by_index(0)?,
        at: Time(row.try_get_by_index(1)?),
        queue: row.try_get_by_index(2)?,
        code: row.try_get_by_index(3)?,
        reason: row.try_get_by_index(4)?,
        saga: row.try_get_by_index::<Option<Uuid>>(5)?.map(SagaId),
        step: row.try_get_by_index(6)?,
        properties: json(row, 7)?,
        body: row.try_get_by_index(8)?,
        resolved_at: row.try_get_by_index::<Option<i64>>(9)?.map(Time),
    })
}

pub(crate) async fn audit(
    store: &SqlStore,
    filter: &AuditFilter,
    limit: u32,
) -> Result<Vec<AuditEntry>, SqlError> {
    let AuditFilter { saga, actor, action, after } = filter;
    let mut question = Question::new(AUDIT);
    question.filter("saga", saga.map(|saga| saga.0));
    question.filter("actor", actor.as_deref().map(text));
    question.filter("action", action.as_deref().map(text));
    let found = store.query(question.newest_first(store, *after, limit)).await?;
    Ok(store.logged.readable(found.iter().map(read_audit)))
}

fn read_audit(row: &QueryResult) -> Result<AuditEntry, SqlError> {
    let seq: Option<i32> = row.try_get_by_index(6)?;
    Ok(AuditEntry {
        id: row.try_get_by_index(0)?,
        at: Time(row.try_get_by_index(1)?),
        actor: row.try_get_by_index(2)?,
        action: row.try_get_by_index(3)?,
        reason: row.try_get_by_index::<Option<String>>(4)?.unwrap_or_default(),
        saga: row.try_get_by_index::<Option<Uuid>>(5)?.map(SagaId),
        seq: seq.map(i32::unsigned_abs),
        step: row.try_get_by_index(7)?,
        definition: row.try_get_by_index(8)?,
        before: json(row, 9)?,
        after: json(row, 10)?,
    })
}

/// JSON that is stored as text, or null. Text that is not JSON is returned as a string, so that operators see it.
fn json(row: &QueryResult, column: usize) -> Result<Json, SqlError> {
    let text: Option<String> = row.try_get_by_index(column)?;
    Ok(text.map_or(Json::Null, |text| serde_json::from_str(&text).unwrap_or(Json::String(text))))
}

pub(crate) async fn schedule_ran(
    store: &SqlStore,
    definition: &str,
    schedule: &str,
    at: Time,
    valid_until: Time,
) -> Result<(), SqlError> {
    let values: [Value; 4] = [definition.into(), schedule.into(), at.0.into(), valid_until.0.into()];
    let _alone = store.alone().await;
    store.execute(store.statement(RAN, values)).await?;
    Ok(())
}

pub(crate) async fn schedules(store: &SqlStore) -> Result<Vec<ScheduleRun>, SqlError> {
    let rows = store.query(store.statement(RUNS, [])).await?;
    let run = |row: &QueryResult| {
        Ok(ScheduleRun {
            definition: row.try_get_by_index(0)?,
            schedule: row.try_get_by_index(1)?,
            at: Time(row.try_get_by_index(2)?),
        })
    };
    Ok(store.logged.readable(rows.iter().map(run)))
}
