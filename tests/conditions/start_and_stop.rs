//! SIGTERM and start-up without the broker or the database.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clients::Load;
use crate::run::Run;
use crate::site::Site;
use crate::support::orchestrator::Plan;
use crate::support::proxy::{Proxy, elsewhere, free_port};
use crate::support::until;
use crate::table::seconds;

const LOAD: Load = Load { http: 150, amqp: 100, over: Duration::from_secs(5) };
const LONGEST_STOP: Duration = Duration::from_secs(5);

/// Stops a process without one of its services, and starts another one once it is back.
async fn stop_without(condition: &'static str, part: &str, take_away: fn(&Proxy)) {
    let site = Site::new().await;
    let mut plan = site.plan();
    let url = if part == "broker" { &mut plan.amqp_url } else { &mut plan.database_url };
    let proxy = Proxy::to(url).await;
    url.clone_from(&proxy.url);
    let process = plan.start().await;
    let api = process.api.clone();
    let mut run = Run::begin(condition, &site, &[&api]).await;
    run.load(&[&api], LOAD);
    sleep(Duration::from_secs(2)).await;
    take_away(&proxy);
    until(Duration::from_secs(20), "not ready", async || (!run.is_ready()).then_some(())).await;
    let began = Instant::now();
    let code = process.terminate().await;
    let took = began.elapsed();
    run.remark(format!("exits with {} after {}", code.unwrap_or(-1), seconds(took)));
    proxy.mend();
    run.over();
    let next = plan.start().await;
    run.finish().await;
    assert!(code == Some(0) && took < LONGEST_STOP, "{code:?} after {took:?}: {}", site.log());
    assert_eq!(next.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn stop_without_broker() {
    stop_without("SIGTERM while the broker is away, then a new process", "broker", Proxy::cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn stop_with_a_frozen_broker() {
    stop_without("SIGTERM while the broker is frozen, then a new process", "broker", Proxy::freeze).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn stop_without_database() {
    stop_without("SIGTERM while the database is away, then a new process", "database", Proxy::cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn stop_with_a_frozen_database() {
    stop_without("SIGTERM while the database is frozen, then a new process", "database", Proxy::freeze).await;
}

/// Starts a process 8 s before one of its services.
async fn start_without(condition: &'static str, part: &str) {
    let site = Site::new().await;
    let plan = site.plan();
    // This declares the queue of starts for the clients.
    assert_eq!(plan.start().await.terminate().await, Some(0));
    let mut late = plan.clone();
    let port = free_port();
    let url = if part == "broker" { &mut late.amqp_url } else { &mut late.database_url };
    let real = url.clone();
    let secret = elsewhere(&real, port);
    // The broker checks its password, the database does not.
    *url = if part == "broker" { secret.replace("not-to-be-seen", "guest") } else { secret };
    let process = Plan { ..late }.spawn();
    until(Duration::from_secs(10), "an answer", async || process.api.get_if_up("/readyz").await).await;
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    sleep(Duration::from_secs(8)).await;
    let log = site.log();
    let lines: Vec<_> =
        log.lines().filter(|line| line.contains("waiting for the")).map(str::to_owned).collect();
    let _proxy = Proxy::at(port, &real).await;
    run.over();
    for line in &lines {
        let reason = line.split_once("waiting for the").expect("the words").1;
        run.remark(format!("logs: `waiting for the{reason}`"));
    }
    run.finish().await;
    assert_eq!(lines.len(), 1, "{log}");
    assert!(!log.contains("not-to-be-seen"), "{log}");
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn start_without_broker() {
    start_without("start-up 8 s before the broker", "broker").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn start_without_database() {
    start_without("start-up 8 s before the database", "database").await;
}
