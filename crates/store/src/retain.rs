//! Finds sagas that ended long ago, and deletes them; deletes dead letters by age and number.
//!
//! Sagas are found in the order of their start, which has an index already: an order by their end would need one more, at a
//! cost for each saga. A saga cannot have ended before it started, so the scan ends at the given time.

use std::collections::HashSet;

use sea_orm::{QueryResult, Statement};
use uuid::Uuid;

use crate::commit::writer::Writer;
use crate::outbox;
use crate::parameters;
use crate::read::list::{FINAL, versions};
use crate::read::question::Question;
use crate::session::error::SqlError;
use crate::sql_store::{Dialect, SqlStore};
use snorri_core::{SagaId, Time};
use snorri_ports::store::{Error, ExpiredLetters};

/// The tables with rows of a saga but its own and its journal, by the id of the saga.
const TABLES: [&str; 3] = ["incident", "attribute", "dead_letter"];

const SQLITE_JOURNALS: &str = "\
DELETE FROM journal WHERE (started_at, saga) IN (SELECT value ->> 0, unhex(value ->> 1) FROM json_each(?1))";

const FINAL_ONLY: &str = "status IN ('completed', 'compensated', 'abandoned')";

pub(super) async fn finished_before(
    store: &SqlStore,
    definition: &str,
    before: Time,
    after: Option<(Time, SagaId)>,
    limit: u32,
) -> Result<Vec<(Time, SagaId)>, SqlError> {
    let mut found = Vec::new();
    for version in versions(store, definition).await? {
        let mut question = Question::new("SELECT started_at, id FROM saga");
        question.filter("definition", Some(definition));
        question.filter("version", Some(i64::from(version)));
        let rows = store.query(finished(store, question, before, after, limit)).await?;
        let key = |row: &QueryResult| {
            Ok((Time(row.try_get_by_index(0)?), SagaId(row.try_get_by_index::<Uuid>(1)?)))
        };
        found.extend(rows.iter().map(key).collect::<Result<Vec<_>, SqlError>>()?);
    }
    found.sort_unstable();
    found.truncate(limit as usize);
    Ok(found)
}

fn finished(
    store: &SqlStore,
    mut question: Question,
    before: Time,
    after: Option<(Time, SagaId)>,
    limit: u32,
) -> Statement {
    let before = question.value(before.0);
    question.and(format!("started_at < {before} AND changed_at < {before}"));
    if let Some((at, saga)) = after {
        let (at, saga) = (question.value(at.0), question.value(saga.0));
        question.and(format!("(started_at, id) > ({at}, {saga})"));
    }
    let cases = FINAL.map(|status| format!("status = '{}'", status.as_str()));
    question.merge(store, cases, "started_at, id", limit)
}

/// The messages in the outbox are made from the journals of their sagas, which stay until they are sent.
pub(super) async fn delete(store: &SqlStore, sagas: &[SagaId]) -> Result<u64, SqlError> {
    let unsent: HashSet<SagaId> = outbox::unsent_of(store, sagas)
        .await?
        .iter()
        .flat_map(|row| row.messages.iter().map(|message| message.saga))
        .collect();
    let sagas: Vec<SagaId> = sagas.iter().copied().filter(|saga| !unsent.contains(saga)).collect();
    match &store.dialect {
        Dialect::Postgres => {
            let keys = parameters::uuids(sagas.iter().map(|saga| saga.0));
            let rows = store.query(store.statement(postgres(), [keys])).await?;
            let count: i64 =
                rows.first().ok_or_else(|| Error::Corrupt("no count".to_owned()))?.try_get_by_index(0)?;
            Ok(count.unsigned_abs())
        }
        Dialect::Sqlite(writer) => {
            let keys = parameters::json_keys(sagas.iter().map(|saga| &saga.0));
            in_sqlite(store, writer, keys).await
        }
    }
}

/// One statement, and so one round trip and one transaction. Each table's rows are found by key.
fn postgres() -> String {
    let others = TABLES.map(|table| {
        format!(", of_{table} AS (DELETE FROM {table} WHERE saga = ANY(ARRAY(SELECT id FROM gone)))")
    });
    format!(
        "WITH gone AS (DELETE FROM saga WHERE id = ANY($1::uuid[]) AND {FINAL_ONLY} RETURNING started_at, id), \
         of_journal AS (DELETE FROM journal USING gone \
         WHERE journal.started_at = gone.started_at AND journal.saga = gone.id){} \
         SELECT count(*) FROM gone",
        others.concat()
    )
}

/// A letter is resolved after its arrival, so the index by arrival bounds both kinds of age.
const OLD_LETTERS: [&str; 3] = [
    "SELECT id FROM dead_letter WHERE at < $1 ORDER BY at, id LIMIT $2",
    "SELECT id FROM dead_letter WHERE at < $1 AND resolved_at < $1 ORDER BY at, id LIMIT $2",
    "SELECT id FROM dead_letter ORDER BY at, id LIMIT (
    SELECT CASE WHEN count(*) <= $1 THEN 0 WHEN count(*) - $1 < $2 THEN count(*) - $1 ELSE $2 END FROM dead_letter
)",
];

pub(super) async fn delete_dead_letters(
    store: &SqlStore,
    expired: ExpiredLetters,
    limit: u32,
) -> Result<u64, SqlError> {
    let [before, resolved_before, beyond] = OLD_LETTERS;
    let (select, bound) = match expired {
        ExpiredLetters::Before(time) => (before, time.0),
        ExpiredLetters::ResolvedBefore(time) => (resolved_before, time.0),
        ExpiredLetters::Beyond(number) => (beyond, i64::from(number)),
    };
    let sql = format!("DELETE FROM dead_letter WHERE id IN ({select})");
    let _alone = store.alone().await;
    let values = [bound.into(), i64::from(limit).into()];
    Ok(store.execute(store.statement(sql, values)).await?.rows_affected())
}

async fn in_sqlite(store: &SqlStore, writer: &Writer, keys: String) -> Result<u64, SqlError> {
    let writing = writer.begin().await?;
    let sql = format!(
        "DELETE FROM saga WHERE id IN (SELECT unhex(value) FROM json_each(?1)) AND {FINAL_ONLY} RETURNING started_at, id"
    );
    let gone = writing.query(store.statement(sql, [keys.into()])).await?;
    let key = |row: &QueryResult| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    let gone = gone.iter().map(key).collect::<Result<Vec<(i64, Uuid)>, SqlError>>()?;
    let journals = gone.iter().map(|(started_at, id)| (started_at, parameters::hex(id))).collect::<Vec<_>>();
    writing.execute(store.statement(SQLITE_JOURNALS, [parameters::json(&journals)?.into()])).await?;
    let keys = parameters::json_keys(gone.iter().map(|(_, id)| id));
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE saga IN (SELECT unhex(value) FROM json_each(?1))");
        writing.execute(store.statement(sql, [keys.as_str().into()])).await?;
    }
    writing.commit().await?;
    Ok(gone.len() as u64)
}
