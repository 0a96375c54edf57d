//! One condition: it begins, ends, and becomes a row of the table. Fails if a promise was broken.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clients::{Accepted, Clients, Load};
use crate::outcome::{Reader, Sagas};
use crate::site::Site;
use crate::support::orchestrator::Api;
use crate::support::until;
use crate::table::{Row, seconds};
use crate::watch::{Readiness, Watch};

/// How long after the condition everything must have ended.
const BOUND: Duration = Duration::from_secs(60);
/// The longest that `/readyz` may take.
const LONGEST_PROBE: Duration = Duration::from_secs(1);

/// A condition that is being measured.
pub struct Run<'a> {
    condition: &'static str,
    site: &'a Site,
    watches: Vec<Watch>,
    clients: Clients,
    began: Instant,
    over: Option<Instant>,
    remarks: Vec<String>,
    expected: Expected,
}

/// The expected results of this condition that would be wrong for others.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Sagas with an incident.
    pub incidents: usize,
    pub compensated: usize,
    /// Whether every process is ready in the end.
    pub ready: bool,
    pub bound: Duration,
}

impl Default for Expected {
    fn default() -> Self {
        Self { incidents: 0, compensated: 0, ready: true, bound: BOUND }
    }
}

/// The result of a condition.
struct Result {
    accepted: Accepted,
    sagas: Sagas,
    open: usize,
    last_ended: Option<Instant>,
    readiness: Vec<Readiness>,
    moved: BTreeMap<String, f64>,
}

impl<'a> Run<'a> {
    /// Begins to watch these processes.
    pub async fn begin(condition: &'static str, site: &'a Site, processes: &[&Api]) -> Self {
        let mut watches = Vec::new();
        for api in processes {
            watches.push(Watch::start((*api).clone()).await);
        }
        site.participant.begin();
        Self {
            condition,
            site,
            watches,
            clients: Clients::default(),
            began: Instant::now(),
            over: None,
            remarks: Vec::new(),
            expected: Expected::default(),
        }
    }

    /// Begins to start sagas.
    pub fn load(&mut self, apis: &[&Api], load: Load) {
        let apis: Vec<_> = apis.iter().map(|api| (*api).clone()).collect();
        self.clients.start(self.site, &apis, load, load.over + BOUND);
    }

    /// Whether the last answer of each process was 200.
    pub fn is_ready(&self) -> bool {
        self.watches.iter().all(Watch::is_ready)
    }

    /// Begins to count time as recovery.
    pub fn over(&mut self) {
        self.over = Some(Instant::now());
    }

    pub fn since_over(&self) -> Duration {
        self.over.expect("it is over").elapsed()
    }

    pub fn remark(&mut self, remark: impl Into<String>) {
        self.remarks.push(remark.into());
    }

    pub fn expect(&mut self, expected: Expected) {
        self.expected = expected;
    }

    /// Waits until all sagas have ended, writes the row, and checks it.
    pub async fn finish(mut self) {
        let over = self.over.unwrap_or(self.began);
        let result = self.result(over).await;
        let row = self.row(over, &result);
        row.write();
        self.check(&row, &result);
    }

    async fn result(&mut self, over: Instant) -> Result {
        let accepted = std::mem::take(&mut self.clients).join().await;
        let mut reader = Reader::new(&self.site.database_url);
        let deadline = Instant::now().max(over) + self.expected.bound;
        let (mut open, mut last_ended) = (usize::MAX, None);
        while Instant::now() < deadline {
            if let Some((all, now_open)) = reader.counts().await {
                open = now_open;
                if open == 0 && all >= accepted.orders.len() {
                    last_ended = Some(Instant::now());
                    break;
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        while self.expected.ready && !self.is_ready() && Instant::now() < deadline {
            sleep(Duration::from_millis(50)).await;
        }
        let sagas = until(BOUND, "the store answers", async || reader.sagas().await).await;
        let readiness = self.watches.iter().map(|watch| watch.readiness(self.began, over)).collect();
        let mut moved = BTreeMap::<String, f64>::new();
        for watch in &self.watches {
            for (name, value) in watch.finish().await {
                *moved.entry(name).or_default() += value;
            }
        }
        Result { accepted, sagas, open, last_ended, readiness, moved }
    }

    fn row(&self, over: Instant, result: &Result) -> Row {
        let Result { accepted, sagas, readiness, .. } = result;
        let lost = accepted.orders.iter().filter(|order| !sagas.keys.contains_key(*order)).count();
        let started_twice = sagas.keys.values().filter(|count| **count > 1).count();
        let ready = if !self.expected.ready {
            "does not apply".to_owned()
        } else if readiness.iter().all(|readiness| readiness.is_ready) {
            let again = readiness.iter().filter_map(|readiness| readiness.ready_again).max();
            again.map_or_else(|| "at once".to_owned(), |again| seconds(again - over))
        } else {
            "never".to_owned()
        };
        let slowest = readiness.iter().map(|readiness| readiness.slowest).max().unwrap_or_default();
        let answers: Vec<_> = readiness
            .iter()
            .map(|readiness| readiness.answers.iter().cloned().collect::<Vec<_>>().join(", "))
            .collect();
        let mut remarks = self.remarks.clone();
        if !accepted.refusals.is_empty() {
            let refusals = accepted.refusals.iter().map(|(reason, count)| format!("{count} × {reason}"));
            remarks.push(format!("starts refused and repeated: {}", refusals.collect::<Vec<_>>().join(", ")));
        }
        if self.site.participant.retries() > 0 {
            remarks.push(format!("{} commands sent again", self.site.participant.retries()));
        }
        Row {
            condition: self.condition,
            started: accepted.orders.len(),
            lost,
            double: started_twice + self.site.participant.doubles(),
            stuck: result.open,
            ready,
            last_ended: result.last_ended.map_or_else(|| "never".to_owned(), |at| seconds(at - over)),
            longest_pause: seconds(self.site.participant.longest_pause()),
            readyz: format!("{}; slowest {} ms", answers.join(" / "), slowest.as_millis()),
            metrics: result.moved.iter().map(|(name, value)| format!("{name} {value}")).collect(),
            remarks,
        }
    }

    fn check(&self, row: &Row, result: &Result) {
        let log = self.site.log();
        let log = &log[log.len().saturating_sub(4_000)..];
        let counts = (row.lost, row.double, row.stuck, result.accepted.given_up);
        assert_eq!(counts, (0, 0, 0, 0), "lost, double, stuck, not accepted: {row:?}\n{log}");
        let compensated = result.sagas.by_status.get("compensated").copied().unwrap_or_default();
        let Expected { incidents, compensated: expected, ready, .. } = self.expected;
        let outcome = (result.sagas.with_incident, compensated);
        assert_eq!(outcome, (incidents, expected), "incidents, compensated: {row:?}\n{log}");
        assert!(!ready || row.ready != "never", "ready again: {row:?}\n{log}");
        for readiness in &result.readiness {
            assert!(readiness.slowest < LONGEST_PROBE, "/readyz took {:?}: {row:?}", readiness.slowest);
        }
    }
}
