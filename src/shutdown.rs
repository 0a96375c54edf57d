//! The end of a drain that cannot be completed, because the database or the broker is away.
//!
//! What is committed stays in the database, and what is not acknowledged at the broker: another process takes it.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::broker;
use crate::engine::Engine;

/// How long a part may take to answer while the process stops.
const ANSWER: Duration = Duration::from_secs(1);
/// How long a part must be away until the drain is given up. With the rest of the stop this is less than 5 s.
const OUTAGE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until a part has been away for [`OUTAGE`], and returns its name.
pub async fn outage(engine: &Engine) -> &'static str {
    let mut away: Option<(&'static str, Instant)> = None;
    loop {
        let began = Instant::now();
        let part = match tokio::join!(database_is_away(engine), broker_is_away(engine)) {
            (true, _) => Some("database"),
            (_, true) => Some("broker"),
            _ => None,
        };
        match (part, away) {
            (Some(part), Some((_, since))) if since.elapsed() >= OUTAGE => return part,
            (Some(part), None) => away = Some((part, began)),
            (Some(_), Some(_)) => {}
            (None, _) => away = None,
        }
        sleep(PAUSE).await;
    }
}

async fn database_is_away(engine: &Engine) -> bool {
    !matches!(timeout(ANSWER, engine.store().check()).await, Ok(Ok(())))
}

/// Consumers have stopped by now, so that only the connection is tried.
async fn broker_is_away(engine: &Engine) -> bool {
    let asked = engine.broker().depth(&engine.wire().names.replies);
    !matches!(timeout(ANSWER, asked).await, Ok(Ok(_) | Err(broker::Error::Refused(_))))
}
