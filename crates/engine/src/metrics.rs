//! The metrics of the engine. `docs/metrics.md` lists them.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use tokio::time::Instant;

use snorri_core::journal::{Cause, EventSource, Fact};
use snorri_core::{Rejection, Status};
use snorri_ports::broker::Published;
use snorri_ports::store::Appended;

/// The label of names that no definition has.
const OTHER: &str = "other";

/// The engine's metrics. Names and labels are stable.
#[derive(Debug)]
pub struct Metrics {
    /// Journal entries by cause.
    entries: Family<Label, Counter>,
    /// Inputs that changed nothing, by reason.
    rejected: Family<Label, Counter>,
    /// Sagas that ended, by status.
    ended: Family<Label, Counter>,
    /// Incidents, by code.
    incidents: Family<Label, Counter>,
    pub late_replies: Counter,
    /// Replies whose `correlation_id` has no valid MAC of this installation.
    pub forged_replies: Counter,
    /// Events that no saga accepted, by exchange and name.
    unmatched_events: Family<EventLabels, Counter>,
    /// Events and signals that came before their saga, by result.
    buffered_events: Family<Label, Counter>,
    /// Dead letters that retention deleted, by reason.
    dead_letters_deleted: Family<Label, Counter>,
    /// Messages by the result of publishing.
    published: Family<Label, Counter>,
    /// Commands that were not sent because their attempts were no longer awaited, by reason.
    dropped: Family<Label, Counter>,
    /// Commands that no queue took, by destination.
    unroutable: Family<Destinations, Counter>,
    /// Commands that wait for room at their destination.
    waiting: Family<Destinations, Gauge>,
    /// Messages in probation, and messages that are parked.
    in_probation: Gauge,
    parked: Gauge,
    /// Commits that conflicted with another writer.
    pub conflicts: Counter,
    batch_entries: Histogram,
    pub commit_seconds: Stopwatch,
    pub publish_seconds: Stopwatch,
}

/// One label: its name and value.
type Label = [(&'static str, Cow<'static, str>); 1];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    exchange: String,
    event: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Destinations {
    exchange: String,
    routing_key: String,
}

impl Destinations {
    fn of(exchange: &str, routing_key: &str) -> Self {
        Self { exchange: exchange.to_owned(), routing_key: routing_key.to_owned() }
    }
}

impl Metrics {
    /// New metrics, registered under `snorri_`.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("snorri");
        let metrics = Self {
            entries: Family::default(),
            rejected: Family::default(),
            ended: Family::default(),
            incidents: Family::default(),
            late_replies: Counter::default(),
            forged_replies: Counter::default(),
            unmatched_events: Family::default(),
            buffered_events: Family::default(),
            dead_letters_deleted: Family::default(),
            published: Family::default(),
            dropped: Family::default(),
            unroutable: Family::default(),
            waiting: Family::default(),
            in_probation: Gauge::default(),
            parked: Gauge::default(),
            conflicts: Counter::default(),
            batch_entries: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            commit_seconds: Stopwatch::default(),
            publish_seconds: Stopwatch::default(),
        };
        registry.register("journal_entries", "Journal entries, by cause", metrics.entries.clone());
        let help = "Inputs that changed nothing, by reason";
        registry.register("inputs_rejected", help, metrics.rejected.clone());
        registry.register("sagas_ended", "Sagas that ended, by status", metrics.ended.clone());
        registry.register("incidents", "Incidents raised, by code", metrics.incidents.clone());
        let help = "Successes that contradict what was decided without them";
        registry.register("late_replies", help, metrics.late_replies.clone());
        let help = "Replies without a valid MAC of this installation";
        registry.register("forged_replies", help, metrics.forged_replies.clone());
        let help = "Events that no saga accepted, by exchange and name";
        registry.register("unmatched_events", help, metrics.unmatched_events.clone());
        let help = "Events and signals that came before their saga, by result";
        registry.register("buffered_events", help, metrics.buffered_events.clone());
        let help = "Dead letters that retention deleted, by reason";
        registry.register("dead_letters_deleted", help, metrics.dead_letters_deleted.clone());
        let help = "Messages by the result of publishing";
        registry.register("messages_published", help, metrics.published.clone());
        let help = "Commands not sent because they were no longer awaited, by reason";
        registry.register("commands_dropped", help, metrics.dropped.clone());
        let help = "Commands that the broker returned: no queue is bound for them";
        registry.register("commands_unroutable", help, metrics.unroutable.clone());
        let help = "Commands that wait for room at their destination";
        registry.register("commands_waiting", help, metrics.waiting.clone());
        registry.register("messages_in_probation", "Messages in probation", metrics.in_probation.clone());
        registry.register("messages_parked", "Messages in the parking queue", metrics.parked.clone());
        let help = "Commits that conflicted with another writer";
        registry.register("commit_conflicts", help, metrics.conflicts.clone());
        registry.register("batch_entries", "Journal entries in one commit", metrics.batch_entries.clone());
        let time = |registry: &mut Registry, name: &str, help: &str, watch: &Stopwatch| {
            registry.register_with_unit(name, help, Unit::Seconds, watch.0.clone());
        };
        time(registry, "commit", "Time to commit a batch", &metrics.commit_seconds);
        time(registry, "publish", "Time to publish and confirm a batch", &metrics.publish_seconds);
        metrics
    }

    /// Counts a batch, once it is committed.
    pub(super) fn observe_batch(&self, counts: &BatchCounts) {
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^52 entries")]
        self.batch_entries.observe(counts.causes.len() as f64);
        counts.causes.iter().for_each(|cause| count(&self.entries, "cause", *cause));
        counts.ended.iter().for_each(|status| count(&self.ended, "status", status.as_str()));
        counts.incidents.iter().for_each(|code| count(&self.incidents, "code", code.clone()));
        self.late_replies.inc_by(counts.late_replies);
    }

    pub(super) fn observe_rejected(&self, rejection: &Rejection) {
        count(&self.rejected, "reason", rejection.code());
    }

    /// Counts an event that no saga accepted. Only an event that a definition listens for has labels of its own: others can
    /// have any name.
    pub(super) fn observe_unmatched_event(&self, source: &EventSource, is_known: bool) {
        let labels = match source {
            EventSource::Event { exchange, event } if is_known => {
                EventLabels { exchange: exchange.to_string(), event: event.to_string() }
            }
            EventSource::Event { .. } => EventLabels { exchange: OTHER.to_owned(), event: OTHER.to_owned() },
            EventSource::Signal(_) => return,
        };
        self.unmatched_events.get_or_create(&labels).inc();
    }

    pub(super) fn observe_buffered_event(&self, result: &'static str) {
        self.buffered_events.get_or_create(&label("result", result)).inc();
    }

    pub(super) fn observe_deleted_letters(&self, reason: &'static str, number: u64) {
        self.dead_letters_deleted.get_or_create(&label("reason", reason)).inc_by(number);
    }

    pub(super) fn observe_dropped(&self, reason: &'static str) {
        self.dropped.get_or_create(&label("reason", reason)).inc();
    }

    pub(super) fn observe_unroutable(&self, exchange: &str, routing_key: &str) {
        self.unroutable.get_or_create(&Destinations::of(exchange, routing_key)).inc();
    }

    pub(super) fn observe_waiting(&self, exchange: &str, routing_key: &str, waiting: usize) {
        let gauge = self.waiting.get_or_create(&Destinations::of(exchange, routing_key));
        gauge.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(super) fn observe_probation(&self, waiting: u64) {
        self.in_probation.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(super) fn observe_parked(&self, parked: u64) {
        self.parked.set(i64::try_from(parked).unwrap_or(i64::MAX));
    }

    pub(super) fn observe_published(&self, published: Published) {
        count(
            &self.published,
            "result",
            match published {
                Published::Confirmed => "confirmed",
                Published::Unroutable => "unroutable",
                Published::Refused => "refused",
                Published::Unknown => "unknown",
            },
        );
    }
}

/// The counts of a batch: taken before the commit, which takes the entries, and added after it, so that nothing is counted
/// twice if the batch is decided again.
#[derive(Debug, Default)]
pub(super) struct BatchCounts {
    causes: Vec<&'static str>,
    ended: Vec<Status>,
    incidents: Vec<String>,
    late_replies: u64,
}

impl BatchCounts {
    pub(super) fn of(entries: &[Appended]) -> Self {
        let mut counts = Self::default();
        for appended in entries {
            counts.causes.push(cause_name(&appended.entry.cause));
            for fact in &appended.entry.facts {
                match fact {
                    Fact::Ended { status, .. } => counts.ended.push(*status),
                    Fact::Held { problem, .. } | Fact::IncidentRaised { problem, .. } => {
                        counts.incidents.push(problem.code.to_string());
                    }
                    Fact::LateReply { .. } => counts.late_replies += 1,
                    _ => {}
                }
            }
        }
        counts
    }
}

fn count(family: &Family<Label, Counter>, name: &'static str, value: impl Into<Cow<'static, str>>) {
    family.get_or_create(&label(name, value)).inc();
}

fn label(name: &'static str, value: impl Into<Cow<'static, str>>) -> Label {
    [(name, value.into())]
}

fn cause_name(cause: &Cause) -> &'static str {
    match cause {
        Cause::Start => "start",
        Cause::Reply { .. } => "reply",
        Cause::Unroutable { .. } => "unroutable",
        Cause::ClockStarted { .. } => "clock_started",
        Cause::TimerFired => "wake",
        Cause::ReceivedEvent(_) => "arrival",
        Cause::OutcomeRequest => "outcome_request",
        Cause::CompensationRequested => "compensation",
        Cause::Cancel(_) => "cancel",
        Cause::Intervention { .. } => "intervention",
        Cause::Pause(_) => "pause",
        Cause::Resume(_) => "resume",
        Cause::Migrate { .. } => "migrate",
    }
}

/// A histogram of durations, from half a millisecond to four seconds.
#[derive(Debug)]
pub struct Stopwatch(Histogram);

impl Default for Stopwatch {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(0.0005, 2.0, 14)))
    }
}

/// A duration that is being measured.
#[derive(Debug)]
pub struct Measurement<'a> {
    watch: &'a Stopwatch,
    since: Instant,
}

impl Stopwatch {
    pub fn start(&self) -> Measurement<'_> {
        Measurement { watch: self, since: Instant::now() }
    }
}

impl Measurement<'_> {
    pub fn stop(self) {
        self.watch.0.observe(self.since.elapsed().as_secs_f64());
    }
}
