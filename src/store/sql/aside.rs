//! What is beside the sagas themselves: messages that they could not use, and when schedules ran.

use sea_orm::{QueryResult, Statement, Value};

use super::commit::{hex, json};
use super::{Dialect, SqlStore};
use crate::saga::Time;
use crate::store::{DeadLetter, Error, ScheduleRun};

/// Takes the rows as one JSON array, as they are rare and few.
pub(super) const POSTGRES_DEAD_LETTERS: &str = "\
INSERT INTO dead_letter (id, at, queue, code, reason, saga, step, properties, body)
SELECT (row ->> 0)::uuid, (row ->> 1)::bigint, row ->> 2, row ->> 3, row ->> 4, (row ->> 5)::uuid, row ->> 6, row ->> 7,
    decode(row ->> 8, 'hex')
FROM json_array_elements($21::json) AS row";

const SQLITE_DEAD_LETTERS: &str = "\
INSERT INTO dead_letter (id, at, queue, code, reason, saga, step, properties, body)
SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, unhex(value ->> 5), value ->> 6,
    value ->> 7, unhex(value ->> 8)
FROM json_each(?1)";

const RAN: &str = "\
INSERT INTO schedule (definition, cron, ran_at) VALUES ($1, $2, $3)
ON CONFLICT (definition, cron) DO UPDATE SET ran_at = excluded.ran_at WHERE schedule.ran_at < excluded.ran_at";

const RUNS: &str = "SELECT definition, cron, ran_at FROM schedule ORDER BY definition, cron";

/// A JSON array with a row for each.
pub(super) fn rows(letters: &[DeadLetter]) -> Result<String, Error> {
    let row = |letter: &DeadLetter| {
        let DeadLetter { id, at, queue, code, reason, saga, step, properties, body, resolved_at: _ } = letter;
        // PostgreSQL's texts cannot hold a NUL.
        let text = |text: &str| text.replace('\0', "\u{fffd}");
        let body: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        let (reason, properties) = (text(reason), json(properties)?);
        Ok((
            hex(id),
            *at,
            text(queue),
            text(code),
            reason,
            saga.map(|saga| hex(&saga.0)),
            step.clone(),
            properties,
            body,
        ))
    };
    json(&letters.iter().map(row).collect::<Result<Vec<_>, Error>>()?)
}

pub(super) fn sqlite_dead_letters(store: &SqlStore, letters: &[DeadLetter]) -> Result<Statement, Error> {
    Ok(store.statement(SQLITE_DEAD_LETTERS, [rows(letters)?.into()]))
}

pub(super) async fn schedule_ran(
    store: &SqlStore,
    definition: &str,
    cron: &str,
    at: Time,
) -> Result<(), Error> {
    let values: [Value; 3] = [definition.into(), cron.into(), at.0.into()];
    let _alone = match &store.dialect {
        Dialect::Postgres => None,
        Dialect::Sqlite { writer } => Some(writer.lock().await),
    };
    store.execute(store.statement(RAN, values)).await?;
    Ok(())
}

pub(super) async fn schedules(store: &SqlStore) -> Result<Vec<ScheduleRun>, Error> {
    let rows = store.query(store.statement(RUNS, [])).await?;
    let run = |row: &QueryResult| {
        Ok(ScheduleRun {
            definition: row.try_get_by_index(0)?,
            cron: row.try_get_by_index(1)?,
            at: Time(row.try_get_by_index(2)?),
        })
    };
    rows.iter().map(run).collect()
}
