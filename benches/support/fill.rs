//! A database that holds many sagas, for measurements.

use std::sync::Arc;

use anyhow::Context;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::json;
use snorri_core::journal::{Cause, Fact};
use snorri_core::{Entry, Time};

/// When the first saga started, and the time between two, in milliseconds.
pub const FIRST: i64 = 1_700_000_000_000;
pub const APART: i64 = 100;

/// The sagas with the numbers of their keys.
const NUMBERED: &str = "(SELECT id, started_at, substr(key, 5)::bigint AS n FROM saga) AS numbered";

/// Each version of a definition is of another time; unfinished sagas are spread over all of it.
pub async fn fill(database: &DatabaseConnection, sagas: u64) -> anyhow::Result<()> {
    let output = Arc::new(json!({"reservation": "0123456789abcdef".repeat(8)}));
    let facts = vec![Fact::Completed { step: "reserve".parse()?, output }];
    let entry = serde_json::to_string(&Entry { at: Time(FIRST), cause: Cause::TimerFired, facts })?;
    let customers = (sagas / 20).max(1);
    for statement in [
        "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\"".to_owned(),
        format!(
            "INSERT INTO saga (id, definition, version, key, status, started_at, changed_at, paused)
             SELECT uuid_generate_v5(uuid_generate_v5(uuid_generate_v5(uuid_ns_oid(), 'key'), definition), 'key ' || n),
                 definition, 1 + (n - 1) * 10 / {sagas}, 'key ' || n,
                 CASE WHEN s < 920 THEN 'completed' WHEN s < 980 THEN 'compensated' WHEN s < 981 THEN 'abandoned'
                     WHEN s < 987 THEN 'stuck' WHEN s < 990 THEN 'compensating' ELSE 'running' END,
                 {FIRST} + n * {APART}, {FIRST} + n * {APART} + 1000, s >= 981 AND n % 10 = 0
             FROM (SELECT n, n * 7919 / 13 % 1000 AS s,
                 CASE WHEN d < 600 THEN 'order' WHEN d < 900 THEN 'trip' WHEN d < 990 THEN 'refund' ELSE 'rare ' || d - 990 END
                     AS definition
                 FROM (SELECT n, n * 104729 % 1000 AS d FROM generate_series(1, {sagas}::bigint) AS n) AS n) AS n"
        ),
        format!(
            "INSERT INTO journal (started_at, saga, seq, at, entry)
             SELECT started_at, id, seq, started_at + seq, '{entry}' FROM {NUMBERED}, generate_series(1, 2 + n % 2) AS seq"
        ),
        format!(
            "INSERT INTO attribute (saga, started_at, name, value)
             SELECT id, started_at, 'customer', 'customer ' || n * 7 % {customers} FROM {NUMBERED}
             UNION ALL
             SELECT id, started_at, 'region', (ARRAY['eu', 'eu', 'us', 'ap'])[1 + n / 3 % 4] FROM {NUMBERED}"
        ),
        "INSERT INTO incident (saga, started_at, code)
         SELECT id, started_at, CASE WHEN abs(hashtext(key)) % 100 < 70 THEN 'timeout'
             WHEN abs(hashtext(key)) % 100 < 99 THEN 'refused' ELSE 'rare' END
         FROM saga WHERE status = 'stuck'"
            .to_owned(),
        "VACUUM ANALYZE".to_owned(),
    ] {
        database.execute_unprepared(&statement).await.with_context(|| statement)?;
    }
    Ok(())
}
