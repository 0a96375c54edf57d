//! Starts sagas by their schedules.
//!
//! Any number of processes may do this side by side: what a schedule starts at a time has one id, so that only the first one
//! of them starts it. What was due several times while no process ran is started once, for the last of these times.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use croner::parser::{CronParser, Seconds, Year};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::events::Only;
use super::start::{StartError, StartRequest};
use super::timers::Ticks;
use crate::saga::Time;
use crate::saga::definition::{Definition, Trigger};
use crate::saga::template::Template;
use crate::store;

const INTERVAL: Duration = Duration::from_secs(1);

/// When definitions were registered, by name and version: it never changes.
type Registered = HashMap<(String, u32), Time>;

/// Starts what is due, until `stop` is cancelled.
pub(super) async fn run(engine: Engine, stop: CancellationToken) {
    let mut ticks = Ticks::new(INTERVAL, stop);
    let mut registered = Registered::new();
    while ticks.next().await {
        if let Err(error) = run_due(&engine, &mut registered).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for due schedules");
        }
    }
}

async fn run_due(engine: &Engine, registered: &mut Registered) -> Result<(), store::Error> {
    let latest = engine.definitions().latest();
    let scheduled = latest.iter().flat_map(|compiled| {
        compiled.definition.starts.iter().filter_map(|trigger| match trigger {
            Trigger::Schedule { cron, input } => Some((&*compiled.definition, cron, input)),
            Trigger::Event { .. } => None,
        })
    });
    let scheduled: Vec<_> = scheduled.collect();
    if scheduled.is_empty() {
        return Ok(());
    }
    let runs = engine.store().schedules().await?.into_iter();
    let runs: HashMap<_, _> = runs.map(|run| ((run.definition, run.cron), run.at)).collect();
    for (definition, cron, input) in scheduled {
        let last = match runs.get(&(definition.name.to_string(), cron.clone())) {
            Some(last) => *last,
            None => registered_at(engine, definition, registered).await?,
        };
        let due = last_due(cron, engine.clock().now());
        if let Some(due) = due.filter(|due| *due > last)
            && start(engine, definition, cron, input, due).await
        {
            engine.store().schedule_ran(&definition.name, cron, due).await?;
        }
    }
    Ok(())
}

async fn registered_at(
    engine: &Engine,
    definition: &Definition,
    registered: &mut Registered,
) -> Result<Time, store::Error> {
    let key = (definition.name.to_string(), definition.version);
    if let Some(at) = registered.get(&key) {
        return Ok(*at);
    }
    let stored = engine.store().definition(&definition.name, definition.version).await?;
    let at = stored.map_or_else(|| engine.clock().now(), |stored| stored.registered_at);
    registered.insert(key, at);
    Ok(at)
}

/// The last time until now at which a schedule was due.
fn last_due(cron: &str, now: Time) -> Option<Time> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let now = DateTime::<Utc>::from_timestamp(now.0.div_euclid(1000), 0)?;
    let due = parser.parse(cron).ok()?.find_previous_occurrence(&now, true).ok()?;
    Some(Time(due.timestamp_millis()))
}

/// Whether this is done with: what can never be started is told, and not tried again.
async fn start(engine: &Engine, definition: &Definition, cron: &str, input: &Template, due: Time) -> bool {
    let time = DateTime::<Utc>::from_timestamp_millis(due.0).unwrap_or_default();
    let time = time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let started = match input.render(&Only("schedule", &json!({ "time": time }))) {
        Err(error) => Err(StartError::NoInput(error)),
        Ok(input) => {
            let request = StartRequest {
                definition: definition.name.to_string(),
                version: Some(definition.version),
                input,
                message_id: Some(format!("schedule/{cron}/{time}")),
                ..StartRequest::default()
            };
            engine.start(request).await
        }
    };
    let name = &definition.name;
    match started {
        Ok(started) => {
            tracing::debug!(saga = %started.id, is_new = started.is_new, cron, "started by a schedule");
            true
        }
        // It is started as soon as the exchange can be used.
        Err(StartError::UnusableExchange(_)) => false,
        Err(error) if error.is_temporary() => false,
        Err(error) => {
            tracing::error!(definition = %name, cron, time, %error, "a schedule could not start its saga");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(cron: &str, now: &str) -> Option<Time> {
        last_due(cron, Time::from_rfc3339(now).expect("a time"))
    }

    #[test]
    fn a_schedule_was_last_due_now_or_before() {
        for (cron, now, expected) in [
            ("0 3 * * *", "2026-11-21T03:00:00.700Z", "2026-11-21T03:00:00Z"),
            ("0 3 * * *", "2026-11-21T02:59:59.999Z", "2026-11-20T03:00:00Z"),
            ("*/15 * * * *", "2026-11-21T10:44:59Z", "2026-11-21T10:30:00Z"),
            ("0 0 1 1 *", "2026-11-21T10:44:59Z", "2026-01-01T00:00:00Z"),
        ] {
            assert_eq!(due(cron, now), Time::from_rfc3339(expected), "{cron} at {now}");
        }
    }
}
