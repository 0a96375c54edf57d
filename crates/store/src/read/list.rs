//! Lists of sagas, and their number.
//!
//! A list is read in the order of an index, from the beginning of its page, and ends with the page: nothing is collected and
//! sorted, however many sagas match. No index is in the order of the start for every combination of definition, version and
//! status, because that would make each saga more expensive to write. Instead a list is the merge of one run of an index for
//! each status (of which there are six) and each version.
//!
//! Incidents and attributes have tables of their own. A list begins there if few sagas have them, and otherwise with the other
//! conditions. The sagas of a business key are found by their ids.

use sea_orm::{QueryResult, Statement};
use uuid::Uuid;

use crate::parameters::{code, json_keys, text, uuids};
use crate::read::question::Question;
use crate::session::error::SqlError;
use crate::sql_store::{Dialect, SqlStore};
use snorri_core::{SagaId, Status, Time};
use snorri_ports::store::{Count, Error, Filter, SagaRow};

const COLUMNS: &str = "s.id, s.definition, s.version, s.key, s.status, s.started_at, s.changed_at, s.paused";

pub(crate) const UNFINISHED: [Status; 3] = [Status::Running, Status::Compensating, Status::Stuck];
pub(crate) const FINAL: [Status; 3] = [Status::Completed, Status::Compensated, Status::Abandoned];

/// The most sagas that may be read one by one to find those that match a list's other conditions.
const FEW: u32 = 2_000;

/// The versions of a definition's sagas, read by skipping over the index.
const VERSIONS: &str = "\
WITH RECURSIVE found (version) AS (
    SELECT max(version) FROM saga WHERE definition = $1
    UNION ALL
    SELECT (SELECT max(version) FROM saga WHERE definition = $1 AND version < found.version)
    FROM found WHERE found.version IS NOT NULL
)
SELECT version FROM found WHERE version IS NOT NULL";

/// The definitions of all sagas, read in the same way.
const NAMES: &str = "\
WITH RECURSIVE found (name) AS (
    SELECT min(definition) FROM saga
    UNION ALL
    SELECT (SELECT min(definition) FROM saga WHERE definition > found.name) FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL";

const COUNTS: &str = "\
SELECT definition, version, status, count(*) FROM saga
GROUP BY definition, version, status ORDER BY definition, version, status";

/// The table with which a list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Incident,
    Attribute,
    Saga,
}

/// The times and ids that bound a page.
#[derive(Debug, Clone, Copy)]
struct Range {
    from: i64,
    before: (i64, Uuid),
}

impl Range {
    fn of(filter: &Filter) -> Self {
        // No id is less than nil: a saga that started before a time is before its nil.
        let until = filter.started_until.map_or((i64::MAX, Uuid::max()), |until| (until.0, Uuid::nil()));
        let after = filter.after.map_or(until, |(at, id)| (at.0, id.0));
        Self { from: filter.started_from.map_or(i64::MIN, |from| from.0), before: after.min(until) }
    }

    fn apply(self, question: &mut Question, at: &str, id: &str) {
        let (from, before) = (question.value(self.from), self.before);
        let (last_at, last_id) = (question.value(before.0), question.value(before.1));
        question.and(format!("{at} >= {from}"));
        question.and(format!("({at}, {id}) < ({last_at}, {last_id})"));
    }
}

pub(crate) async fn saga(store: &SqlStore, id: SagaId) -> Result<Option<SagaRow>, SqlError> {
    let sql = format!("SELECT {COLUMNS} FROM saga AS s WHERE s.id = $1");
    store.query(store.statement(sql, [id.0.into()])).await?.first().map(row).transpose()
}

pub(crate) async fn sagas(store: &SqlStore, filter: &Filter, limit: u32) -> Result<Vec<SagaRow>, SqlError> {
    let range = Range::of(filter);
    if let Some(key) = &filter.key {
        return of_key(store, filter, key, range, limit).await;
    }
    let source = source(store, filter, range).await?;
    let is_one_run = source != Source::Saga || filter.paused == Some(true);
    if is_one_run {
        return rows(store, one_run(store, filter, source, range, limit)).await;
    }
    let statuses = statuses(filter);
    if statuses.is_empty() {
        return Ok(Vec::new());
    }
    let versions = match (&filter.definition, filter.version) {
        (Some(definition), None) => versions(store, definition).await?.into_iter().map(Some).collect(),
        (_, version) => vec![version],
    };
    let mut listed = Vec::new();
    let mut range = range;
    for version in versions {
        let filter = Filter { version, ..filter.clone() };
        listed.extend(rows(store, merged(store, &filter, &statuses, range, limit)).await?);
        listed.sort_unstable_by_key(|saga| std::cmp::Reverse((saga.started_at, saga.id)));
        listed.truncate(limit as usize);
        // Of the other versions, sagas older than a whole page are not needed.
        if listed.len() == limit as usize {
            range.from = listed.last().map_or(range.from, |saga| saga.started_at.0);
        }
    }
    Ok(listed)
}

/// The sagas with a business key: at most one of each definition, because definition and key give its id. So no index has keys,
/// which come in any order and would cost each saga a page of its own.
async fn of_key(
    store: &SqlStore,
    filter: &Filter,
    key: &str,
    range: Range,
    limit: u32,
) -> Result<Vec<SagaRow>, SqlError> {
    let definitions = match &filter.definition {
        Some(definition) => vec![definition.clone()],
        None => names(store).await?,
    };
    let ids = definitions.iter().map(|definition| SagaId::of_key(definition, key).0).collect::<Vec<_>>();
    let mut question = Question::new(format!("SELECT {COLUMNS} FROM saga AS s"));
    let (ids, condition) = match store.dialect {
        Dialect::Postgres => (uuids(ids), "s.id = ANY($1::uuid[])"),
        Dialect::Sqlite(_) => {
            (json_keys(ids.iter()).into(), "s.id IN (SELECT unhex(value) FROM json_each($1))")
        }
    };
    question.value(ids);
    question.and(condition);
    range.apply(&mut question, "s.started_at", "s.id");
    status(&mut question, filter, Source::Saga);
    others(&mut question, filter, Source::Saga);
    rows(store, question.finish(store, "s.started_at DESC, s.id DESC", limit)).await
}

async fn names(store: &SqlStore) -> Result<Vec<String>, SqlError> {
    let rows = store.query(store.statement(NAMES, [])).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

fn statuses(filter: &Filter) -> Vec<Status> {
    // A saga that has ended has no open incident.
    let is_unfinished = filter.unfinished || filter.incident.is_some();
    let all = UNFINISHED.into_iter().chain(FINAL.into_iter().filter(|_| !is_unfinished));
    all.filter(|status| filter.status.is_none_or(|wanted| wanted == *status)).collect()
}

async fn source(store: &SqlStore, filter: &Filter, range: Range) -> Result<Source, SqlError> {
    let has_others = filter.definition.is_some()
        || filter.status.is_some()
        || filter.unfinished
        || filter.paused == Some(true);
    let asked = match (&filter.incident, &filter.attribute) {
        (None, None) => return Ok(Source::Saga),
        (Some(_), None) if !has_others => return Ok(Source::Incident),
        (None, Some(_)) if !has_others => return Ok(Source::Attribute),
        (Some(_), None) => &[Source::Incident][..],
        (None, Some(_)) => &[Source::Attribute],
        (Some(_), Some(_)) => &[Source::Incident, Source::Attribute],
    };
    for source in asked {
        if are_few(store, filter, *source, range).await? {
            return Ok(*source);
        }
    }
    // Many have it: the other conditions match fewer, or many that have it.
    Ok(if has_others { Source::Saga } else { Source::Incident })
}

async fn are_few(store: &SqlStore, filter: &Filter, source: Source, range: Range) -> Result<bool, SqlError> {
    let mut question = Question::new(match source {
        Source::Incident => "SELECT m.saga FROM incident AS m",
        _ => "SELECT m.saga FROM attribute AS m",
    });
    mark(&mut question, filter, source, range);
    let mut some = question.finish(store, "m.started_at DESC, m.saga DESC", FEW);
    some.sql = format!("SELECT count(*) FROM ({}) AS some_of_them", some.sql);
    let rows = store.query(some).await?;
    let count: i64 =
        rows.first().ok_or_else(|| Error::Corrupt("no count".to_owned()))?.try_get_by_index(0)?;
    Ok(count < i64::from(FEW))
}

/// The conditions on a row of the table of incidents or attributes.
fn mark(question: &mut Question, filter: &Filter, source: Source, range: Range) {
    if source == Source::Incident {
        question.filter("m.code", filter.incident.as_deref().map(code));
    } else if let Some((name, value)) = &filter.attribute {
        question.filter("m.name", Some(text(name)));
        question.filter("m.value", Some(text(value)));
    }
    range.apply(question, "m.started_at", "m.saga");
}

/// A list in the order of one index.
fn one_run(store: &SqlStore, filter: &Filter, source: Source, range: Range, limit: u32) -> Statement {
    let table = match source {
        Source::Saga => "saga AS s",
        // In SQLite this determines which table is read first; for PostgreSQL it is like any other join.
        Source::Incident => "incident AS m CROSS JOIN saga AS s",
        Source::Attribute => "attribute AS m CROSS JOIN saga AS s",
    };
    let mut question = Question::new(format!("SELECT {COLUMNS} FROM {table}"));
    let order = if source == Source::Saga {
        range.apply(&mut question, "s.started_at", "s.id");
        "s.started_at DESC, s.id DESC"
    } else {
        mark(&mut question, filter, source, range);
        question.and("s.id = m.saga");
        "m.started_at DESC, m.saga DESC"
    };
    status(&mut question, filter, source);
    others(&mut question, filter, source);
    question.finish(store, order, limit)
}

fn status(question: &mut Question, filter: &Filter, source: Source) {
    question.filter("s.status", filter.status.map(Status::as_str));
    if filter.unfinished || (filter.incident.is_some() && source == Source::Saga) {
        question.and("s.status IN ('running', 'compensating', 'stuck')");
    }
}

/// A list that is the merge of one run of an index for each status.
fn merged(store: &SqlStore, filter: &Filter, statuses: &[Status], range: Range, limit: u32) -> Statement {
    let mut question = Question::new(format!("SELECT {COLUMNS} FROM saga AS s"));
    range.apply(&mut question, "s.started_at", "s.id");
    others(&mut question, filter, Source::Saga);
    let cases = statuses.iter().map(|status| format!("s.status = '{}'", status.as_str()));
    question.merge(store, cases, "started_at DESC, id DESC", limit)
}

/// The conditions that choose no index of a list, or several.
fn others(question: &mut Question, filter: &Filter, source: Source) {
    question.filter("s.definition", filter.definition.as_deref().map(text));
    question.filter("s.version", filter.version.map(i64::from));
    match filter.paused {
        Some(true) => question.and("s.paused"),
        Some(false) => question.and("NOT s.paused"),
        None => {}
    }
    // Not a join, which could be planned in the other order.
    if let (Some(incident), true) = (&filter.incident, source != Source::Incident) {
        let incident = question.value(code(incident));
        question.and(format!(
            "(SELECT m.code FROM incident AS m WHERE m.saga = s.id AND m.code = {incident}) = {incident}"
        ));
    }
    if let (Some((name, value)), true) = (&filter.attribute, source != Source::Attribute) {
        let (name, value) = (question.value(text(name)), question.value(text(value)));
        question.and(format!(
            "(SELECT m.value FROM attribute AS m WHERE m.saga = s.id AND m.name = {name}) = {value}"
        ));
    }
}

/// The versions of a definition's sagas, the latest first.
pub(crate) async fn versions(store: &SqlStore, definition: &str) -> Result<Vec<u32>, SqlError> {
    let rows = store.query(store.statement(VERSIONS, [text(definition).into()])).await?;
    rows.iter().map(|row| parse_version(row.try_get_by_index(0)?)).collect()
}

pub(crate) async fn counts(store: &SqlStore) -> Result<Vec<Count>, SqlError> {
    let rows = store.query(store.statement(COUNTS, [])).await?;
    let count = |row: &QueryResult| {
        Ok(Count {
            definition: row.try_get_by_index(0)?,
            version: parse_version(row.try_get_by_index(1)?)?,
            status: parse_status(&row.try_get_by_index::<String>(2)?)?,
            count: row.try_get_by_index::<i64>(3)?.unsigned_abs(),
        })
    };
    let mut counts = store.logged.readable(rows.iter().map(count));
    // A database may order names by a language's rules.
    counts.sort_by(|one, other| {
        let key = |count: &Count| (count.version, count.status.as_str());
        one.definition.cmp(&other.definition).then_with(|| key(one).cmp(&key(other)))
    });
    Ok(counts)
}

async fn rows(store: &SqlStore, statement: Statement) -> Result<Vec<SagaRow>, SqlError> {
    Ok(store.logged.readable(store.query(statement).await?.iter().map(row)))
}

fn row(row: &QueryResult) -> Result<SagaRow, SqlError> {
    Ok(SagaRow {
        id: SagaId(row.try_get_by_index::<Uuid>(0)?),
        definition: row.try_get_by_index::<String>(1)?.into(),
        version: parse_version(row.try_get_by_index(2)?)?,
        key: row.try_get_by_index(3)?,
        status: parse_status(&row.try_get_by_index::<String>(4)?)?,
        started_at: Time(row.try_get_by_index(5)?),
        changed_at: Time(row.try_get_by_index(6)?),
        paused: row.try_get_by_index(7)?,
    })
}

pub(crate) fn parse_version(version: i64) -> Result<u32, SqlError> {
    Ok(u32::try_from(version).map_err(|_| Error::Corrupt(format!("{version} as a definition's version")))?)
}

fn parse_status(text: &str) -> Result<Status, SqlError> {
    let found = UNFINISHED.into_iter().chain(FINAL).find(|status| status.as_str() == text);
    Ok(found.ok_or_else(|| Error::Corrupt(format!("`{text}` as a saga's status")))?)
}
