//! Polls the readiness and the metrics of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::orchestrator::Api;

const INTERVAL: Duration = Duration::from_millis(50);
/// One of so many probes also reads the metrics.
const PROBES_PER_SCRAPE: usize = 10;
/// Metrics that change in every condition.
const USUAL: [&str; 5] = [
    "journal_entries_total",
    "batch_entries",
    "commit_seconds",
    "publish_seconds",
    "messages_published_total{result=\"confirmed\"}",
];
const ENDED: &str = "sagas_ended_total{status=\"completed\"}";

/// Watches one process until it is finished.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    api: Api,
}

#[derive(Debug, Default)]
struct Seen {
    probes: Vec<Probe>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Probe {
    asked: Instant,
    took: Duration,
    /// `None`: there was no answer, because there is no process.
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    text: String,
}

/// The increases of counters, over restarts of the process, and the highest value of each gauge.
#[derive(Debug, Default)]
pub struct Metrics {
    last: BTreeMap<String, f64>,
    moved: BTreeMap<String, f64>,
}

/// The observations of one process.
#[derive(Debug, Default)]
pub struct Readiness {
    /// Each status with the parts that were not available.
    pub answers: BTreeSet<String>,
    pub slowest: Duration,
    /// When it became ready for the last time, if it was not ready after the condition.
    pub ready_again: Option<Instant>,
    /// Whether the last answer was 200.
    pub is_ready: bool,
}

impl Watch {
    pub async fn start(api: Api) -> Self {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), CancellationToken::new());
        let watch = Self { seen, stop, api };
        watch.scrape(true).await;
        let (seen, api, stop) = (Arc::clone(&watch.seen), watch.api.clone(), watch.stop.clone());
        tokio::spawn(async move {
            for number in 1.. {
                if stop.is_cancelled() {
                    return;
                }
                let probe = probe(&api).await;
                seen.lock().expect("unpoisoned").probes.push(probe);
                if number % PROBES_PER_SCRAPE == 0 {
                    scrape(&api, &seen, false).await;
                }
                tokio::time::sleep(INTERVAL).await;
            }
        });
        watch
    }

    /// Whether the last answer was 200.
    pub fn is_ready(&self) -> bool {
        self.readiness(Instant::now(), Instant::now()).is_ready
    }

    /// What was seen since `began`; the condition was over at `over`.
    pub fn readiness(&self, began: Instant, over: Instant) -> Readiness {
        let seen = self.seen.lock().expect("unpoisoned");
        let mut readiness = Readiness::default();
        let mut was_ready = true;
        for probe in &seen.probes {
            let is_ready = probe.answer.as_ref().is_some_and(|answer| answer.status == 200);
            readiness.is_ready = is_ready;
            if probe.asked < began {
                continue;
            }
            readiness.slowest = readiness.slowest.max(probe.took);
            let text = probe.answer.as_ref().map_or("no process", |answer| &answer.text);
            readiness.answers.insert(text.to_owned());
            if is_ready && !was_ready && probe.asked > over {
                readiness.ready_again = Some(probe.asked + probe.took);
            }
            was_ready = is_ready;
        }
        readiness
    }

    /// Stops, and returns which metrics moved in an unusual way.
    pub async fn finish(&self) -> BTreeMap<String, f64> {
        self.stop.cancel();
        self.scrape(false).await;
        let seen = self.seen.lock().expect("unpoisoned");
        let moved = seen.metrics.moved.iter().filter(|(name, value)| {
            **value > 0.0 && *name != ENDED && !USUAL.iter().any(|usual| name.starts_with(usual))
        });
        moved.map(|(name, value)| (name.clone(), *value)).collect()
    }

    async fn scrape(&self, is_first: bool) {
        scrape(&self.api, &self.seen, is_first).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn probe(api: &Api) -> Probe {
    let asked = Instant::now();
    let answer = api.get_if_up("/readyz").await.map(|(status, report)| {
        let text = describe(status, &report);
        Answer { status, text }
    });
    // What takes long without a process is the connection.
    let took = if answer.is_some() { asked.elapsed() } else { Duration::ZERO };
    Probe { asked, took, answer }
}

/// As in `503 (broker)`.
fn describe(status: u16, report: &Value) -> String {
    let mut parts: Vec<_> = ["database", "broker", "clock", "definitions"]
        .into_iter()
        .filter(|part| report[part] != "ok")
        .map(str::to_owned)
        .collect();
    if let Some(waiting) = report["waiting_for"].as_object() {
        parts = waiting.keys().map(|part| format!("waiting for the {part}")).collect();
    }
    if let Some(errors) = report["load_errors"].as_array() {
        let errors: Vec<_> = errors.iter().filter_map(Value::as_str).collect();
        parts = vec![format!("load errors: {}", errors.join(", "))];
    }
    if parts.is_empty() { status.to_string() } else { format!("{status} ({})", parts.join(", ")) }
}

async fn scrape(api: &Api, seen: &Mutex<Seen>, is_first: bool) {
    if let Some(text) = api.text_if_up("/metrics").await {
        seen.lock().expect("unpoisoned").metrics.take(&text, is_first);
    }
}

impl Metrics {
    /// Adds a reading of a process. The first one only sets the base of the next.
    fn take(&mut self, text: &str, is_first: bool) {
        let mut is_gauge = false;
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                is_gauge = kind.ends_with(" gauge");
            }
            let sample = line.strip_prefix("snorri_").and_then(|line| line.rsplit_once(' '));
            let Some((name, Ok(value))) = sample.map(|(name, value)| (name, value.parse::<f64>())) else {
                continue;
            };
            let last = self.last.insert(name.to_owned(), value).unwrap_or(0.0);
            let moved = self.moved.entry(name.to_owned()).or_default();
            if is_gauge {
                *moved = moved.max(value);
            } else if !is_first {
                // A counter that has decreased is that of another process.
                *moved += if value < last { value } else { value - last };
            }
        }
    }
}
