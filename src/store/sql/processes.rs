//! Which processes are alive.

use uuid::Uuid;

use super::SqlStore;
use crate::saga::Time;
use crate::store::Error;

const SEEN: &str = "\
INSERT INTO process (id, seen_at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at";

const FORGET: &str = "DELETE FROM process WHERE seen_at < $1";

pub(super) async fn seen(store: &SqlStore, process: Uuid, now: Time) -> Result<(), Error> {
    let _alone = store.alone().await;
    store.execute(store.statement(SEEN, [process.into(), now.0.into()])).await?;
    Ok(())
}

pub(super) async fn forget(store: &SqlStore, before: Time) -> Result<(), Error> {
    let _alone = store.alone().await;
    store.execute(store.statement(FORGET, [before.0.into()])).await?;
    Ok(())
}
