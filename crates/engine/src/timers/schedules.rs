//! Starts sagas by their schedules.
//!
//! Any number of processes may do this concurrently: the start of a schedule at a time has one id, so only the first process
//! starts it. A schedule that was due several times while no process ran starts one saga, for the last of these times.
//!
//! A schedule is identified within its definition by its cron expression and, where several have the same expression, by a
//! digest of its input, so that it stays the same from version to version.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::definitions::Definitions;
use crate::intake::events::Only;
use crate::operations::start::{StartRequest, Started, Starter};
use crate::operations::start_error::StartError;
use crate::supervision::ticks::Ticks;
use snorri_core::Time;
use snorri_core::definition::{Definition, Trigger};
use snorri_core::expression::template::Template;
use snorri_definition::Compiled;
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, Store};

const INTERVAL: Duration = Duration::from_secs(1);
/// How far ahead the clock of another process may be, so that the times at which it ran a schedule count. Schedules are due at
/// whole minutes: clocks that differ by less agree on all but the last run.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// Starts due schedules, until `stop` is cancelled.
pub(crate) async fn run(mut scheduler: Scheduler, stop: CancellationToken) {
    let mut ticks = Ticks::new(INTERVAL, stop);
    while ticks.next().await {
        if let Err(error) = scheduler.run_due().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for due schedules");
        }
    }
}

/// Starts sagas by their schedules, and remembers what does not change.
#[derive(Debug)]
pub struct Scheduler {
    starter: Arc<Starter>,
    definitions: Arc<Definitions>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// When definitions were registered, by name and version: immutable.
    registered: HashMap<(String, u32), Time>,
    /// The last time at which each cron expression was due, as of a minute.
    due: HashMap<String, (i64, Option<Time>)>,
    /// The logged warnings, by schedule: each problem of a schedule is logged once.
    warned: HashSet<(String, String, Warning)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Warning {
    NeverDue,
    KeyInUse,
    /// The last run was this far in the future.
    RanInFuture(Time),
}

/// One schedule of a definition.
struct Schedule<'a> {
    definition: &'a Definition,
    cron: &'a str,
    input: &'a Template,
    /// The id within its definition, also in the store.
    identity: String,
    /// The other id that it may have had in another version: that of the only schedule with its cron expression, or that of one
    /// of several.
    other_identity: String,
}

impl<'a> Schedule<'a> {
    fn all_of(definition: &'a Definition) -> Vec<Self> {
        let triggers = || {
            definition.starts.iter().filter_map(|trigger| match trigger {
                Trigger::Schedule { cron, input } => Some((cron.as_str(), input)),
                Trigger::Event { .. } => None,
            })
        };
        let schedule = |(cron, input): (&'a str, &'a Template)| {
            let alone = cron.to_owned();
            let among_others = format!("{cron}#{}", digest(input));
            let is_alone = triggers().filter(|(other, _)| *other == cron).count() == 1;
            let (identity, other_identity) =
                if is_alone { (alone, among_others) } else { (among_others, alone) };
            Self { definition, cron, input, identity, other_identity }
        };
        triggers().map(schedule).collect()
    }
}

/// A short digest of a schedule's input.
fn digest(input: &Template) -> String {
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, input.source().to_string().as_bytes());
    digest.simple().to_string()[..8].to_owned()
}

impl Scheduler {
    pub fn new(
        starter: Arc<Starter>,
        definitions: Arc<Definitions>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (registered, due, warned) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { starter, definitions, store, clock, registered, due, warned }
    }

    /// Starts the schedules that are due now.
    ///
    /// # Errors
    ///
    /// If the store does not answer. The next call starts what is due.
    pub async fn run_due(&mut self) -> Result<(), store::Error> {
        let latest: Vec<Arc<Compiled>> = self.definitions.latest();
        let schedules: Vec<_> =
            latest.iter().flat_map(|compiled| Schedule::all_of(&compiled.definition)).collect();
        if schedules.is_empty() {
            return Ok(());
        }
        let runs = self.store.schedules().await?.into_iter();
        let runs: HashMap<_, _> = runs.map(|run| ((run.definition, run.schedule), run.at)).collect();
        for schedule in &schedules {
            let now = self.clock.now();
            let Some(due) = self.last_due(schedule, now) else { continue };
            let last = match self.last_run(&runs, schedule, now.after(CLOCK_TOLERANCE)) {
                Some(last) => last,
                None => self.registered_at(schedule.definition).await?,
            };
            if due > last && self.start(schedule, due).await? {
                let (name, valid_until) = (&schedule.definition.name, now.after(CLOCK_TOLERANCE));
                self.store.schedule_ran(name, &schedule.identity, due, valid_until).await?;
            }
        }
        Ok(())
    }

    /// When a schedule last ran. A time later than `valid_until` does not count: the clock of the process that wrote it was
    /// ahead.
    fn last_run(
        &mut self,
        runs: &HashMap<(String, String), Time>,
        schedule: &Schedule<'_>,
        valid_until: Time,
    ) -> Option<Time> {
        let run = |identity: &str| runs.get(&(schedule.definition.name.to_string(), identity.to_owned()));
        let of_both = [&schedule.identity, &schedule.other_identity].into_iter().filter_map(|of| run(of));
        let (valid, ahead): (Vec<Time>, Vec<Time>) = of_both.copied().partition(|at| *at <= valid_until);
        for at in ahead {
            if self.warns_first(schedule, Warning::RanInFuture(at)) {
                tracing::warn!(
                    definition = %schedule.definition.name,
                    cron = schedule.cron,
                    last_run = at.to_rfc3339(),
                    "the last run of a schedule is in the future and is ignored: check the clocks of all processes"
                );
            }
        }
        valid.into_iter().max()
    }

    async fn registered_at(&mut self, definition: &Definition) -> Result<Time, store::Error> {
        let key = (definition.name.to_string(), definition.version);
        if let Some(at) = self.registered.get(&key) {
            return Ok(*at);
        }
        let stored = self.store.definition(&definition.name, definition.version).await?;
        let at = stored.map_or_else(|| self.clock.now(), |stored| stored.registered_at);
        self.registered.insert(key, at);
        Ok(at)
    }

    /// The last time until now at which a schedule was due. It is computed once a minute: for a date that never occurs that
    /// takes long.
    fn last_due(&mut self, schedule: &Schedule<'_>, now: Time) -> Option<Time> {
        let minute = now.0.div_euclid(60_000);
        let due = match self.due.get(schedule.cron) {
            Some((of, due)) if *of == minute => *due,
            // A date that has never occurred never will.
            Some((_, None)) => None,
            _ => {
                let due = last_due(schedule.cron, now);
                self.due.insert(schedule.cron.to_owned(), (minute, due));
                due
            }
        };
        if due.is_none() && self.warns_first(schedule, Warning::NeverDue) {
            tracing::warn!(
                definition = %schedule.definition.name,
                cron = schedule.cron,
                "the date of a schedule never comes, so that it starts no saga: correct its cron expression"
            );
        }
        due
    }

    /// Returns whether the run is settled: a saga that can never be started is logged, and not tried again.
    async fn start(&mut self, schedule: &Schedule<'_>, due: Time) -> Result<bool, store::Error> {
        let time = due.to_rfc3339_seconds();
        let Schedule { definition, cron, .. } = schedule;
        match self.start_at(schedule, &time).await {
            Ok(started) => {
                tracing::debug!(saga = %started.id, is_new = started.is_new, cron, "started by a schedule");
                if self.is_of_another_run(&started, due).await?
                    && self.warns_first(schedule, Warning::KeyInUse)
                {
                    tracing::warn!(
                        definition = %definition.name,
                        cron,
                        time,
                        saga = %started.id,
                        key = started.key.as_deref().unwrap_or_default(),
                        "a schedule started no saga because an earlier saga has its business key: make the key from \
                         `schedule.time`, or remove the earlier saga"
                    );
                }
                Ok(true)
            }
            // It is started as soon as the exchange can be used, or by a process that has loaded the definition.
            Err(StartError::UnusableExchange(_) | StartError::NotLoaded(_)) => Ok(false),
            Err(error) if error.is_temporary() => Ok(false),
            Err(error) => {
                let name = &definition.name;
                tracing::error!(definition = %name, cron, time, %error, "a schedule could not start its saga");
                Ok(true)
            }
        }
    }

    async fn start_at(&self, schedule: &Schedule<'_>, time: &str) -> Result<Started, StartError> {
        let scope = json!({ "time": time });
        let input = schedule.input.render(&Only("schedule", &scope)).map_err(StartError::NoInput)?;
        let request = StartRequest {
            definition: schedule.definition.name.to_string(),
            version: Some(schedule.definition.version),
            input,
            message_id: Some(format!("schedule/{}/{time}", schedule.identity)),
            ..StartRequest::default()
        };
        self.starter.start(request).await
    }

    /// Whether the saga that a start found was not started by this run of the schedule.
    async fn is_of_another_run(&self, started: &Started, due: Time) -> Result<bool, store::Error> {
        if started.is_new {
            return Ok(false);
        }
        if !started.same_input {
            return Ok(true);
        }
        let saga = self.store.saga(started.id).await?;
        Ok(saga.is_some_and(|saga| saga.started_at < due))
    }

    /// Whether this is logged for the first time.
    fn warns_first(&mut self, schedule: &Schedule<'_>, warning: Warning) -> bool {
        self.warned.insert((schedule.definition.name.to_string(), schedule.identity.clone(), warning))
    }
}

/// The last time until now at which a schedule was due.
fn last_due(cron: &str, now: Time) -> Option<Time> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let now = DateTime::<Utc>::from_timestamp(now.0.div_euclid(1000), 0)?;
    let due = parser.parse(cron).ok()?.find_previous_occurrence(&now, true).ok()?;
    Some(Time(due.timestamp_millis()))
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

    #[test]
    fn a_date_that_never_comes_is_never_due() {
        assert_eq!(due("0 0 30 2 *", "2026-11-21T10:44:59Z"), None);
    }
}
