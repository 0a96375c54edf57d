//! The load: a closed loop of orders. Each outcome starts another order.
//!
//! It checks every outcome: an order is completed or, if it is one that shipping refuses, compensated; once. A run that
//! breaks this has no result.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use snorri_ports::broker::Publication;
use tokio::time::{Instant, sleep, timeout};

use crate::amqp::{self, Pump};
use crate::measure::percentile;
use crate::process::{self, Event};
use crate::wire::{Incoming, Names, REFUSED_MARK, to_queue};

/// How long the orders that are in flight at the end may take.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(30);
const PREFETCH: u16 = 2_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Orders in flight at any moment.
    pub in_flight: usize,
    /// Of a hundred orders, how many are refused.
    pub refused_percent: u64,
    /// Of a hundred orders, how many are started once more when they have ended.
    pub repeated_percent: u64,
    pub warm_up_seconds: f64,
    pub seconds: f64,
    /// How often to measure, each time after a warm-up.
    pub slices: usize,
    pub prefix: String,
}

/// The result of a load within the measured time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    pub sagas: u64,
    pub seconds: f64,
    pub sagas_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub completed: u64,
    pub compensated: u64,
}

pub async fn run(amqp_url: &str, plan: &Plan) -> anyhow::Result<()> {
    let names = Names::new(&plan.prefix);
    let connection = amqp::connect(amqp_url).await?;
    amqp::declare_queue(&connection, &names.answers, None).await?;
    let pump = Pump::open(&connection, &connection, &names.answers, PREFETCH).await?;
    let orders = Orders::new(plan);
    let first = orders.lock().first();
    let pumping = pump.run(first, |outcome| Ok(orders.lock().outcome(&outcome)));
    tokio::select! {
        result = orders.measure(plan) => result,
        stopped = pumping => stopped.context("the load stopped"),
    }
}

/// The orders of a run.
#[derive(Debug, Clone)]
pub struct Orders(Arc<Mutex<Book>>);

#[derive(Debug)]
pub struct Book {
    names: Names,
    /// Distinguishes the orders of this run from others.
    run: String,
    in_flight: usize,
    refused_percent: u64,
    repeated_percent: u64,
    next: u64,
    open: HashMap<u64, Instant>,
    /// Orders that have ended and were started once more: their outcome arrives again.
    repeated: HashSet<u64>,
    stopping: bool,
    /// While measuring.
    times: Option<Vec<Duration>>,
    completed: u64,
    compensated: u64,
    /// The first wrong outcome.
    wrong: Option<String>,
}

impl Orders {
    pub fn new(plan: &Plan) -> Self {
        let run = uuid::Uuid::now_v7().simple().to_string();
        let book = Book {
            names: Names::new(&plan.prefix),
            run: run[run.len() - 6..].to_owned(),
            in_flight: plan.in_flight,
            refused_percent: plan.refused_percent,
            repeated_percent: plan.repeated_percent,
            next: 0,
            open: HashMap::new(),
            repeated: HashSet::new(),
            stopping: false,
            times: None,
            completed: 0,
            compensated: 0,
            wrong: None,
        };
        Self(Arc::new(Mutex::new(book)))
    }

    pub fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Warms the load up and measures it, as often as planned, stops it, and reports the result. The coordinator gets an event
    /// when measuring begins and ends, so that it can inspect the processes at these moments, and do something else from then
    /// on.
    pub async fn measure(&self, plan: &Plan) -> anyhow::Result<()> {
        let mut slices = Vec::new();
        for slice in 1..=plan.slices {
            sleep(Duration::from_secs_f64(plan.warm_up_seconds)).await;
            let (before, began) = (self.lock().begin_to_measure(), Instant::now());
            process::send(&Event::Warm);
            sleep(Duration::from_secs_f64(plan.seconds)).await;
            let is_last = slice == plan.slices;
            let ((times, after), took) = (self.lock().end_to_measure(is_last), began.elapsed());
            process::send(&Event::Measured);
            slices.push(seen(times, took, (after.0 - before.0, after.1 - before.1)));
        }
        let drained = async {
            while !self.lock().is_drained() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let is_drained = timeout(DRAIN_LIMIT, drained).await.is_ok();
        let book = self.lock();
        if let Some(wrong) = &book.wrong {
            bail!("a wrong outcome: {wrong}");
        }
        let without = book.open.len() + book.repeated.len();
        ensure!(is_drained, "{without} orders have no outcome after {DRAIN_LIMIT:?}");
        let refused = (0..book.next).filter(|number| book.is_refused(*number)).count() as u64;
        ensure!(book.compensated == refused, "{} compensated of {refused} refused", book.compensated);
        ensure!(book.completed == book.next - refused, "{} completed of {}", book.completed, book.next);
        for seen in slices {
            process::send(&Event::Seen(seen));
        }
        Ok(())
    }
}

impl Book {
    /// The orders that are in flight from the beginning.
    pub fn first(&mut self) -> Vec<Publication> {
        (0..self.in_flight).map(|_| self.start()).collect()
    }

    /// Records an outcome. Returns the next start, unless it is time to stop.
    pub fn outcome(&mut self, outcome: &Incoming<'_>) -> Option<Publication> {
        let number = outcome.correlation_id.parse().unwrap_or(u64::MAX);
        let must_be = if self.is_refused(number) { "compensated" } else { "completed" };
        if outcome.kind != must_be {
            self.complain(outcome, &format!("it must be {must_be}"));
        }
        let Some(started) = self.open.remove(&number) else {
            if !self.repeated.remove(&number) {
                self.complain(outcome, "no order waits for it");
            }
            return (!self.stopping).then(|| self.start());
        };
        match outcome.kind {
            "completed" => self.completed += 1,
            _ => self.compensated += 1,
        }
        if let Some(times) = &mut self.times {
            times.push(started.elapsed());
        }
        if self.stopping {
            return None;
        }
        if self.is_repeated(number) {
            self.repeated.insert(number);
            return Some(self.start_of(number));
        }
        Some(self.start())
    }

    fn start(&mut self) -> Publication {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, Instant::now());
        self.start_of(number)
    }

    /// The same for each repetition.
    fn start_of(&self, number: u64) -> Publication {
        let mark = if self.is_refused(number) { REFUSED_MARK } else { "o-" };
        let body = format!(r#"{{"orderId":"{mark}{}-{number}","amount":{}}}"#, self.run, 100 + number % 900);
        let mut start = to_queue(&self.names.starts, "order", &number.to_string(), body.into_bytes());
        start.properties.reply_to = Some(self.names.answers.clone());
        start
    }

    /// Spreads the refused orders evenly: 37 and 100 have no common divisor, so any hundred orders in a row have their share.
    fn is_refused(&self, number: u64) -> bool {
        number * 37 % 100 < self.refused_percent
    }

    /// Others than the refused ones, spread as evenly.
    fn is_repeated(&self, number: u64) -> bool {
        number * 41 % 100 < self.repeated_percent
    }

    fn is_drained(&self) -> bool {
        self.open.is_empty() && self.repeated.is_empty()
    }

    /// Returns the numbers completed and compensated so far.
    fn begin_to_measure(&mut self) -> (u64, u64) {
        self.times = Some(Vec::new());
        (self.completed, self.compensated)
    }

    /// Returns the measured times, and the numbers completed and compensated so far.
    fn end_to_measure(&mut self, stop: bool) -> (Vec<Duration>, (u64, u64)) {
        self.stopping = stop;
        (self.times.take().unwrap_or_default(), (self.completed, self.compensated))
    }

    fn complain(&mut self, outcome: &Incoming<'_>, why: &str) {
        let Incoming { kind, correlation_id, body, .. } = outcome;
        let body = String::from_utf8_lossy(body);
        self.wrong.get_or_insert_with(|| format!("{kind} of {correlation_id} ({why}): {body}"));
    }
}

pub fn seen(mut times: Vec<Duration>, took: Duration, (completed, compensated): (u64, u64)) -> Seen {
    times.sort_unstable();
    let millis: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1_000.0).collect();
    let sagas = times.len() as u64;
    Seen {
        sagas,
        seconds: took.as_secs_f64(),
        sagas_per_second: sagas as f64 / took.as_secs_f64(),
        p50_ms: percentile(&millis, 50),
        p99_ms: percentile(&millis, 99),
        completed,
        compensated,
    }
}
