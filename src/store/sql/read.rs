//! Reading journals, lists and definitions, and registering definitions.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoSimpleExpr, QueryFilter, QueryOrder, QueryResult, QuerySelect, Value,
};
use uuid::Uuid;

use super::entity::{definition, saga};
use super::{Dialect, SqlStore, commit};
use crate::saga::{Entry, SagaId, Status, Time};
use crate::store::{Error, Filter, Registered, SagaRow, StoredDefinition, journal};

const POSTGRES_LOAD: &str =
    "SELECT saga, seq, entry FROM journal WHERE saga = ANY($1::uuid[]) ORDER BY saga, seq";

const SQLITE_LOAD: &str = "\
SELECT saga, seq, entry FROM journal WHERE saga IN (SELECT unhex(value) FROM json_each(?1)) ORDER BY saga, seq";

const COUNT_UNSENT: &str = "SELECT count(*) FROM outbox";

const REGISTER: &str = "\
INSERT INTO definition (name, version, digest, source, files, registered_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (name, version) DO NOTHING";

const ALL_STATUSES: [Status; 6] = [
    Status::Running,
    Status::Compensating,
    Status::Stuck,
    Status::Completed,
    Status::Compensated,
    Status::Abandoned,
];

pub(super) async fn load(store: &SqlStore, sagas: &[SagaId]) -> Result<HashMap<SagaId, Vec<Entry>>, Error> {
    let (sql, keys): (_, Value) = match store.dialect {
        Dialect::Postgres => (POSTGRES_LOAD, commit::uuids(sagas.iter().map(|saga| saga.0))),
        Dialect::Sqlite { .. } => (SQLITE_LOAD, commit::json_keys(sagas.iter().map(|saga| &saga.0)).into()),
    };
    let rows = store.query(store.statement(sql, [keys])).await?;
    let rows = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let mut rows = rows.into_iter().peekable();
    let mut loaded = HashMap::with_capacity(sagas.len());
    while let Some((saga, _, _)) = rows.peek() {
        let saga = *saga;
        let of_saga =
            std::iter::from_fn(|| rows.next_if(|row| row.0 == saga)).map(|(_, seq, entry)| (seq, entry));
        loaded.insert(saga, journal(saga, of_saga)?);
    }
    Ok(loaded)
}

fn entry(row: &QueryResult) -> Result<(SagaId, u32, Entry), Error> {
    let saga = SagaId(row.try_get_by_index::<Uuid>(0)?);
    let seq: i32 = row.try_get_by_index(1)?;
    let text: String = row.try_get_by_index(2)?;
    let corrupt = |why: String| Error::Corrupt(format!("entry {seq} of saga {saga}: {why}"));
    let entry = serde_json::from_str(&text).map_err(|error| corrupt(error.to_string()))?;
    Ok((saga, u32::try_from(seq).map_err(|error| corrupt(error.to_string()))?, entry))
}

pub(super) async fn count_unsent(store: &SqlStore) -> Result<u64, Error> {
    let rows = store.query(store.statement(COUNT_UNSENT, [])).await?;
    let count: i64 =
        rows.first().ok_or_else(|| Error::Corrupt("no count".to_owned()))?.try_get_by_index(0)?;
    Ok(count.unsigned_abs())
}

pub(super) async fn register(store: &SqlStore, wanted: &StoredDefinition) -> Result<Registered, Error> {
    let StoredDefinition { name, version, digest, source, files, registered_at, active: _ } = wanted;
    let values = [
        name.as_str().into(),
        i64::from(*version).into(),
        digest.as_str().into(),
        source.as_str().into(),
        commit::json(files)?.into(),
        registered_at.0.into(),
    ];
    let _alone = match &store.dialect {
        Dialect::Postgres => None,
        Dialect::Sqlite { writer } => Some(writer.lock().await),
    };
    if store.execute(store.statement(REGISTER, values)).await?.rows_affected() == 1 {
        return Ok(Registered::New);
    }
    let there = definition(store, name, *version).await?;
    let there = there.ok_or_else(|| Error::Corrupt(format!("definition {name} {version} has vanished")))?;
    Ok(Registered::compare(&there.digest, wanted))
}

pub(super) async fn definitions(store: &SqlStore) -> Result<Vec<StoredDefinition>, Error> {
    let all = definition::Entity::find()
        .order_by_asc(definition::Column::Name)
        .order_by_asc(definition::Column::Version);
    all.all(&store.db).await?.into_iter().map(StoredDefinition::try_from).collect()
}

pub(super) async fn definition(
    store: &SqlStore,
    name: &str,
    version: u32,
) -> Result<Option<StoredDefinition>, Error> {
    let key = (name.to_owned(), i64::from(version));
    definition::Entity::find_by_id(key).one(&store.db).await?.map(StoredDefinition::try_from).transpose()
}

pub(super) async fn saga(store: &SqlStore, id: SagaId) -> Result<Option<SagaRow>, Error> {
    saga::Entity::find_by_id(id.0).one(&store.db).await?.map(SagaRow::try_from).transpose()
}

pub(super) async fn sagas(store: &SqlStore, filter: &Filter, limit: u32) -> Result<Vec<SagaRow>, Error> {
    let mut query = saga::Entity::find();
    if let Some(definition) = &filter.definition {
        query = query.filter(saga::Column::Definition.eq(definition.as_str()));
    }
    if let Some(status) = filter.status {
        query = query.filter(saga::Column::Status.eq(status.as_str()));
    }
    if let Some(key) = &filter.key {
        query = query.filter(saga::Column::Key.eq(key.as_str()));
    }
    if let Some((started_at, id)) = filter.after {
        let position = [saga::Column::StartedAt.into_simple_expr(), saga::Column::Id.into_simple_expr()];
        let last: [SimpleExpr; 2] = [Expr::value(started_at.0), Expr::value(id.0)];
        query = query.filter(Expr::tuple(position).lt(Expr::tuple(last)));
    }
    let newest_first =
        query.order_by_desc(saga::Column::StartedAt).order_by_desc(saga::Column::Id).limit(u64::from(limit));
    newest_first.all(&store.db).await?.into_iter().map(SagaRow::try_from).collect()
}

impl TryFrom<saga::Model> for SagaRow {
    type Error = Error;

    fn try_from(row: saga::Model) -> Result<Self, Error> {
        Ok(Self {
            id: SagaId(row.id),
            definition: row.definition.into(),
            version: parse_version(row.version)?,
            key: row.key,
            status: parse_status(&row.status)?,
            started_at: Time(row.started_at),
            changed_at: Time(row.changed_at),
            paused: false,
        })
    }
}

impl TryFrom<definition::Model> for StoredDefinition {
    type Error = Error;

    fn try_from(row: definition::Model) -> Result<Self, Error> {
        let corrupt = |error| Error::Corrupt(format!("the files of definition {}: {error}", row.name));
        let files = serde_json::from_str(&row.files).map_err(corrupt)?;
        Ok(Self {
            files,
            name: row.name,
            version: parse_version(row.version)?,
            digest: row.digest,
            source: row.source,
            registered_at: Time(row.registered_at),
            active: true,
        })
    }
}

fn parse_version(version: i64) -> Result<u32, Error> {
    u32::try_from(version).map_err(|_| Error::Corrupt(format!("{version} as a definition's version")))
}

fn parse_status(text: &str) -> Result<Status, Error> {
    let found = ALL_STATUSES.into_iter().find(|status| status.as_str() == text);
    found.ok_or_else(|| Error::Corrupt(format!("`{text}` as a saga's status")))
}
