//! The keys of correlation tokens.

use sea_orm::QueryResult;

use crate::definitions::change;
use crate::read::list::parse_version;
use crate::session::error::SqlError;
use crate::sql_store::SqlStore;
use snorri_core::Time;
use snorri_ports::store::{AuditEntry, Error, MAX_TOKEN_KEYS, Secret, TokenKey};

const KEYS: &str =
    "SELECT number, secret, created_at, signs_from FROM token_key ORDER BY number DESC LIMIT $1";

const ADD: &str = "\
INSERT INTO token_key (number, secret, created_at, signs_from) VALUES ($1, $2, $3, $4) ON CONFLICT (number) DO NOTHING";

const FORGET: &str = "DELETE FROM token_key WHERE number <= $1";

pub(super) async fn newest(store: &SqlStore) -> Result<Vec<TokenKey>, SqlError> {
    let rows = store.query(store.statement(KEYS, [i64::from(MAX_TOKEN_KEYS).into()])).await?;
    rows.iter().map(read).collect()
}

pub(super) async fn add(
    store: &SqlStore,
    key: &TokenKey,
    audit: Option<&AuditEntry>,
) -> Result<bool, SqlError> {
    let number = i64::from(key.number);
    let secret = key.secret.0.to_vec();
    let values = vec![number.into(), secret.into(), key.created_at.0.into(), key.signs_from.0.into()];
    let is_new = change(store, ADD, values, audit).await?;
    if is_new {
        let _alone = store.alone().await;
        store.execute(store.statement(FORGET, [(number - i64::from(MAX_TOKEN_KEYS)).into()])).await?;
    }
    Ok(is_new)
}

fn read(row: &QueryResult) -> Result<TokenKey, SqlError> {
    let secret: Vec<u8> = row.try_get_by_index(1)?;
    let number = parse_version(row.try_get_by_index(0)?)?;
    let secret =
        secret.try_into().map_err(|_| Error::Corrupt(format!("token key {number} has a wrong length")))?;
    Ok(TokenKey {
        number,
        secret: Secret(secret),
        created_at: Time(row.try_get_by_index(2)?),
        signs_from: Time(row.try_get_by_index(3)?),
    })
}
