//! The burst: many concurrent sagas, each timed from its start to its outcome message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use super::participants::LIMIT;
use crate::app::Orchestrator;
use crate::cli::color::{color_of, paint};
use snorri_core::Status;
use snorri_core::journal::AnswerTo;
use snorri_engine::{Engine, StartRequest};
use snorri_ports::broker::{Delivery, QueueDeclaration, Topology, Verdict};

/// One of this number of orders exceeds the limit of the payment service.
const REFUSED_EVERY: usize = 10;
const PREFETCH: u16 = 200;

/// The receivers of outcomes, by correlation id.
type PendingOutcomes = Arc<Mutex<HashMap<String, oneshot::Sender<String>>>>;

pub async fn run(
    orchestrator: &Orchestrator,
    prefix: &str,
    run: &str,
    count: usize,
    in_flight: usize,
) -> anyhow::Result<()> {
    let queue = format!("{prefix}.answers");
    let broker = orchestrator.broker();
    let answers = QueueDeclaration { name: queue.clone(), bindings: Vec::new(), dead_letters: None };
    broker.declare(&Topology { exchanges: Vec::new(), queues: vec![answers] }).await?;
    let waiting = PendingOutcomes::default();
    let stop = CancellationToken::new();
    let listening = tokio::spawn({
        let (queue, waiting, stop) = (queue.clone(), Arc::clone(&waiting), stop.clone());
        let handler = tower::service_fn(move |delivery| receive_outcome(Arc::clone(&waiting), delivery));
        async move { broker.consume(&queue, PREFETCH, BoxCloneSyncService::new(handler), stop).await }
    });

    let bar = progress_bar(count);
    let began = Instant::now();
    let engine = orchestrator.engine();
    let orders = stream::iter(0..count).map(|number| {
        let (queue, waiting, id) = (&queue, &waiting, format!("burst-{run}-{number}"));
        async move { one(engine, queue, waiting, id, number).await }
    });
    let results: Vec<_> = orders.buffer_unordered(in_flight.max(1)).inspect(|_| bar.inc(1)).collect().await;
    let took = began.elapsed();
    bar.finish_and_clear();
    stop.cancel();
    listening.await.context("the listener failed")?;
    summarize(&results.into_iter().collect::<anyhow::Result<Vec<_>>>()?, took);
    Ok(())
}

/// Starts one order and waits for its outcome.
async fn one(
    engine: &Engine,
    queue: &str,
    waiting: &PendingOutcomes,
    id: String,
    number: usize,
) -> anyhow::Result<(String, Duration)> {
    let (sender, outcome) = oneshot::channel();
    waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), sender);
    let is_refused = number % REFUSED_EVERY == REFUSED_EVERY - 1;
    let began = Instant::now();
    let request = StartRequest {
        definition: "order".to_owned(),
        input: json!({"orderId": id, "amount": if is_refused { LIMIT + 1 } else { 100 }}),
        answer: Some(AnswerTo { queue: queue.to_owned(), correlation_id: Some(id) }),
        ..StartRequest::default()
    };
    engine.starter.start(request).await?;
    let status = outcome.await.context("there is no outcome message")?;
    Ok((status, began.elapsed()))
}

async fn receive_outcome(waiting: PendingOutcomes, delivery: Delivery) -> Result<Verdict, tower::BoxError> {
    let (Some(id), Some(status)) = (delivery.properties.correlation_id, delivery.properties.kind) else {
        return Ok(Verdict::Ack);
    };
    if let Some(sender) = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
        // The receiver may have been dropped meanwhile.
        let _ = sender.send(status);
    }
    Ok(Verdict::Ack)
}

fn progress_bar(count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("  {bar:40.cyan/dim} {pos}/{len}  {per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count as u64).with_style(style)
}

fn summarize(results: &[(String, Duration)], took: Duration) {
    let mut times: Vec<_> = results.iter().map(|(_, time)| *time).collect();
    times.sort_unstable();
    let mut outcomes = Vec::new();
    for status in [Status::Completed, Status::Compensated, Status::Stuck] {
        let count = results.iter().filter(|(outcome, _)| outcome == status.as_str()).count();
        if count > 0 {
            outcomes.push(paint(color_of(status), &format!("{count} {}", status.as_str())));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a demo does not run 2^52 sagas")]
    let rate = results.len() as f64 / took.as_secs_f64();
    anstream::println!("  {}", outcomes.join(", "));
    anstream::println!(
        "  {rate:.0} sagas/s   p50 {:.1} ms   p99 {:.1} ms   in {:.1} s",
        millis(percentile(&times, 50)),
        millis(percentile(&times, 99)),
        took.as_secs_f64(),
    );
}

/// The nearest-rank percentile of sorted times.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
