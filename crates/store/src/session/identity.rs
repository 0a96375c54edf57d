//! The identity of the database.

use uuid::Uuid;

use crate::session::error::SqlError;
use crate::sql_store::SqlStore;
use snorri_ports::store::Error;

const MAKE: &str = "INSERT INTO identity (number, id) VALUES (1, $1) ON CONFLICT (number) DO NOTHING";

const FIND: &str = "SELECT id FROM identity WHERE number = 1";

/// The first process that asks creates it.
pub(crate) async fn identity(store: &SqlStore) -> Result<Uuid, SqlError> {
    if let Some(found) = find(store).await? {
        return Ok(found);
    }
    {
        let _alone = store.alone().await;
        store.execute(store.statement(MAKE, [Uuid::now_v7().into()])).await?;
    }
    Ok(find(store).await?.ok_or_else(|| Error::Corrupt("the database has no identity".to_owned()))?)
}

async fn find(store: &SqlStore) -> Result<Option<Uuid>, SqlError> {
    let rows = store.query(store.statement(FIND, [])).await?;
    Ok(rows.first().map(|row| row.try_get_by_index(0)).transpose()?)
}
