//! The registered definitions. Changes of them are audited in the same transaction.

use sea_orm::{EntityTrait, QueryOrder, Statement, Value};

use crate::aside;
use crate::commit::writer::Writer;
use crate::entity::definition;
use crate::parameters;
use crate::read::list::parse_version;
use crate::read::stored::read_json;
use crate::session::error::SqlError;
use crate::sql_store::{Dialect, SqlStore};
use snorri_core::Time;
use snorri_ports::store::{AuditEntry, Error, Registered, StoredDefinition};

const REGISTER: &str = "\
INSERT INTO definition (name, version, digest, source, files, registered_at, active)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name, version) DO NOTHING";

const SET_ACTIVE: &str =
    "UPDATE definition SET active = $3 WHERE name = $1 AND version = $2 AND active <> $3";

pub(super) async fn register(
    store: &SqlStore,
    wanted: &StoredDefinition,
    audit: Option<&AuditEntry>,
) -> Result<Registered, SqlError> {
    let StoredDefinition { name, version, digest, source, files, registered_at, active } = wanted;
    let values = vec![
        name.as_str().into(),
        i64::from(*version).into(),
        digest.as_str().into(),
        source.as_str().into(),
        parameters::json(files)?.into(),
        registered_at.0.into(),
        (*active).into(),
    ];
    if change(store, REGISTER, values, audit).await? {
        return Ok(Registered::New);
    }
    let there = definition(store, name, *version).await?;
    let there = there.ok_or_else(|| Error::Corrupt(format!("definition {name} {version} has vanished")))?;
    Ok(Registered::compare(&there.digest, wanted))
}

pub(super) async fn set_active(
    store: &SqlStore,
    name: &str,
    version: u32,
    active: bool,
    audit: &AuditEntry,
) -> Result<bool, SqlError> {
    let values = vec![name.into(), i64::from(version).into(), active.into()];
    change(store, SET_ACTIVE, values, Some(audit)).await
}

/// Whether the statement changed anything, in which case the change is audited.
pub(super) async fn change(
    store: &SqlStore,
    sql: &str,
    mut values: Vec<Value>,
    audit: Option<&AuditEntry>,
) -> Result<bool, SqlError> {
    let rows: Value = aside::audit_rows(audit)?.into();
    match &store.dialect {
        Dialect::Postgres => {
            values.push(rows);
            let audited = aside::POSTGRES_AUDIT[0].1.replace("$n", &format!("${}", values.len()));
            // The audit's row is written only if a row is changed.
            let sql = format!(
                "WITH changed AS ({sql} RETURNING 1), audited AS ({audited} WHERE EXISTS (SELECT 1 FROM changed)) \
                 SELECT count(*) FROM changed"
            );
            let counted = store.query(store.statement(sql, values)).await?;
            let count: i64 =
                counted.first().ok_or_else(|| Error::Corrupt("no count".to_owned()))?.try_get_by_index(0)?;
            Ok(count > 0)
        }
        Dialect::Sqlite(writer) => {
            let audited = audit.map(|_| store.statement(aside::SQLITE_AUDIT[0], [rows]));
            in_sqlite(writer, store.statement(sql, values), audited).await
        }
    }
}

async fn in_sqlite(writer: &Writer, change: Statement, audited: Option<Statement>) -> Result<bool, SqlError> {
    let writing = writer.begin().await?;
    let has_changed = writing.execute(change).await?.rows_affected() > 0;
    if let Some(audited) = audited.filter(|_| has_changed) {
        writing.execute(audited).await?;
    }
    writing.commit().await?;
    Ok(has_changed)
}

pub(super) async fn definitions(store: &SqlStore) -> Result<Vec<StoredDefinition>, SqlError> {
    let all = definition::Entity::find()
        .order_by_asc(definition::Column::Name)
        .order_by_asc(definition::Column::Version);
    let rows = all.all(&store.db).await?;
    Ok(store.logged.readable(rows.into_iter().map(read)))
}

pub(super) async fn definition(
    store: &SqlStore,
    name: &str,
    version: u32,
) -> Result<Option<StoredDefinition>, SqlError> {
    let key = (name.to_owned(), i64::from(version));
    definition::Entity::find_by_id(key).one(&store.db).await?.map(read).transpose()
}

fn read(row: definition::Model) -> Result<StoredDefinition, SqlError> {
    let files = read_json(&row.files, || format!("the files of definition {}", row.name))?;
    Ok(StoredDefinition {
        files,
        name: row.name,
        version: parse_version(row.version)?,
        digest: row.digest,
        source: row.source,
        registered_at: Time(row.registered_at),
        active: row.active,
    })
}
