//! The end of a drain that cannot complete, because the database or the broker is unavailable.
//!
//! Committed work stays in the database and unacknowledged messages at the broker, for another process.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use snorri_engine::Engine;
use snorri_ports::broker;

/// How long a part may take to answer while the process stops.
const ANSWER: Duration = Duration::from_secs(1);
/// How long a part must be unavailable before the drain ends. With the rest of the shutdown this is less than 5 s.
const OUTAGE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);

/// Waits until a part has been unavailable for `OUTAGE`, and returns its name.
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
    !matches!(timeout(ANSWER, engine.parts.store.check()).await, Ok(Ok(())))
}

/// Tries the connection only: consumers have stopped by now.
async fn broker_is_away(engine: &Engine) -> bool {
    let asked = engine.parts.broker.depth(&engine.parts.wire.names.replies);
    !matches!(timeout(ANSWER, asked).await, Ok(Ok(_) | Err(broker::Error::Refused(_))))
}
