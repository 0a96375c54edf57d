//! The broker is unavailable, blocks, does not answer, or has lost Snorri's declarations.

use std::time::Duration;

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use tokio::time::sleep;

use crate::clients::Load;
use crate::run::Run;
use crate::site::{Site, order};
use crate::support::orchestrator::{Orchestrator, Plan};
use crate::support::proxy::Proxy;
use crate::support::service;

const LOAD: Load = Load { http: 300, amqp: 200, over: Duration::from_secs(12) };
const BEFORE: Duration = Duration::from_secs(2);
const OUTAGE: Duration = Duration::from_secs(10);

/// A process whose connections to the broker go through a proxy.
async fn behind_proxy(site: &Site, settings: &[(&'static str, &str)]) -> (Proxy, Orchestrator) {
    let proxy = Proxy::to(&site.amqp_url).await;
    let mut plan = Plan { amqp_url: proxy.url.clone(), ..site.plan() };
    plan.settings.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let process = plan.start().await;
    (proxy, process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn killed() {
    let site = Site::new().await;
    let process = site.plan().start().await;
    let mut run = Run::begin("broker: `kill -9`, started again after 10 s", &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    sleep(BEFORE).await;
    assert!(service("kill", "broker").await, "the services are ours");
    sleep(OUTAGE).await;
    service("start", "broker").await;
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn flapping() {
    let site = Site::new().await;
    let (proxy, process) = behind_proxy(&site, &[]).await;
    let mut run =
        Run::begin("broker: connections cut 5 times for 2 s, 2 s apart", &site, &[&process.api]).await;
    run.load(&[&process.api], Load { over: Duration::from_secs(20), ..LOAD });
    for _ in 0..5 {
        sleep(Duration::from_secs(2)).await;
        proxy.cut();
        sleep(Duration::from_secs(2)).await;
        proxy.mend();
    }
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn blocked() {
    let site = Site::new().await;
    let process = site.plan().start().await;
    let mut run =
        Run::begin("broker: memory alarm for 10 s, publishers blocked", &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    sleep(BEFORE).await;
    assert!(service("block", "broker").await, "the services are ours");
    sleep(OUTAGE).await;
    service("unblock", "broker").await;
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn frozen() {
    let site = Site::new().await;
    let (proxy, process) = behind_proxy(&site, &[]).await;
    let mut run = Run::begin("broker: connections frozen for 10 s", &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    sleep(BEFORE).await;
    proxy.freeze();
    sleep(OUTAGE).await;
    proxy.mend();
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn full_outbox() {
    let site = Site::new().await;
    let (proxy, process) = behind_proxy(&site, &[("SNORRI__ENGINE__MAX_UNSENT", "50")]).await;
    let condition = "outbox full: `max_unsent = 50`, broker away for 10 s";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    sleep(BEFORE).await;
    proxy.cut();
    sleep(OUTAGE).await;
    proxy.mend();
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

/// Starts by message may be in the queue that is deleted, and so may replies: so starts use HTTP only, and commands are
/// repeated soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn queues_deleted() {
    let site = Site::new().await;
    let impatient =
        order(&site.exchange).replace("timeout: 30s", "timeout: 2s").replace("attempts: 3", "attempts: 20");
    site.define("order.yaml", &impatient);
    let process = site.plan().start().await;
    let condition = "broker: all of Snorri's queues and exchanges deleted";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], Load { http: 300, amqp: 0, over: Duration::from_secs(6) });
    sleep(BEFORE).await;
    let connection = Connection::connect(&site.amqp_url, ConnectionProperties::default()).await;
    let channel = connection.expect("a connection").create_channel().await.expect("a channel");
    let queues = ["starts", "events", "signals", "replies", "dead-letters", "probation", "parked", "probe"];
    for queue in queues.map(|name| site.queue(name)) {
        channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.expect("deleted");
    }
    for exchange in ["lifecycle", "probation"].map(|name| site.queue(name)) {
        let deleted = channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default());
        deleted.await.expect("deleted");
    }
    run.over();
    run.finish().await;
    for queue in queues.map(|name| site.queue(name)) {
        site.broker.depth(&queue).await.expect("declared again");
    }
    assert_eq!(process.terminate().await, Some(0));
}
