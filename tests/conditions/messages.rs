//! One message that a client, the database or a decision cannot take, among good ones.

use std::time::Duration;

use serde_json::json;
use snorri_ports::broker::Published;

use crate::clients::{Load, start};
use crate::outcome::Reader;
use crate::run::Run;
use crate::site::Site;
use crate::support::faults::publish_poison;
use crate::support::orchestrator::{Api, Orchestrator, Plan};
use crate::support::proxy::Proxy;
use crate::support::until;
use crate::table::seconds;

const LOAD: Load = Load { http: 150, amqp: 150, over: Duration::from_secs(5) };
/// When the message is published within the load.
const MOMENT: Duration = Duration::from_secs(1);
const LARGE_STARTS: usize = 450;

/// The number of dead letters that are listed.
async fn dead_letters(api: &Api) -> usize {
    let listed = api.try_get("/v1/dead-letters").await;
    listed.and_then(|listed| listed["dead_letters"].as_array().map(Vec::len)).unwrap_or_default()
}

/// A field of `/proc/PID/status`, in MiB.
pub fn memory(process: &Orchestrator, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("Linux");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a field");
    let kib = line.split_whitespace().nth(1).expect("a value");
    kib.parse::<u64>().expect("a number") / 1024
}

/// Publishes this kind of message to the queues of starts and of replies, and waits for both dead letters.
async fn poison(condition: &'static str, kind: &str) {
    let site = Site::new().await;
    let process = site.plan().start().await;
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    tokio::time::sleep(MOMENT).await;
    for queue in ["starts", "replies"] {
        publish_poison(&site.amqp_url, &site.queue(queue), kind).await;
    }
    run.over();
    until(Duration::from_secs(30), "both dead letters", async || {
        (dead_letters(&process.api).await == 2).then_some(())
    })
    .await;
    run.remark(format!("2 dead letters after {}", seconds(run.since_over())));
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn nested_header_tables() {
    poison("a message with 3,000 nested header tables", "nested:3000").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn large_headers() {
    poison("a message with 120 KB of headers", "long").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn latin_1_in_a_property() {
    poison("a Latin-1 byte in `message_id`", "message_id").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn a_large_reply() {
    let site = Site::new().await;
    let process = site.plan().start().await;
    let mut run = Run::begin("a reply of 50 MB to a running saga", &site, &[&process.api]).await;
    site.participant.reply_badly("large", "large:50000000");
    run.load(&[&process.api], LOAD);
    tokio::time::sleep(MOMENT).await;
    let before = memory(&process, "VmHWM");
    let id = process.api.start("order", &json!({"orderId": "large"})).await;
    let published =
        until(Duration::from_secs(30), "a large reply", async || site.participant.bad_reply_at()).await;
    run.over();
    until(Duration::from_secs(30), "a dead letter", async || {
        (dead_letters(&process.api).await == 1).then_some(())
    })
    .await;
    run.remark(format!("dead letter {} after the broker had it", seconds(published.elapsed())));
    process.api.wait_for(&id, &["completed"]).await;
    run.remark(format!("memory at its peak {before} MiB before, {} MiB after", memory(&process, "VmHWM")));
    run.finish().await;
    assert!(memory(&process, "VmHWM") < before + 100, "{} MiB", memory(&process, "VmHWM"));
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn a_nul_in_a_name() {
    let site = Site::new().await;
    let process = site.plan().start().await;
    let condition = "a NUL in the name of a definition, by message and over HTTP";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    tokio::time::sleep(MOMENT).await;
    let message = start(&site.queue("starts"), "or\0der@1", "nul", "{}");
    assert_eq!(site.broker.publish(vec![message]).await, [Published::Confirmed]);
    let body = json!({"definition": "or\0der", "input": {"orderId": "nul"}});
    let (status, problem) = process.api.post("/v1/sagas", &body).await;
    run.over();
    run.remark(format!("HTTP {status} `{}`", problem["code"].as_str().unwrap_or("?")));
    until(Duration::from_secs(30), "a dead letter", async || {
        (dead_letters(&process.api).await == 1).then_some(())
    })
    .await;
    run.remark(format!("dead letter after {}", seconds(run.since_over())));
    run.finish().await;
    assert_eq!(status, 404, "{problem}");
    assert_eq!(process.terminate().await, Some(0));
}

/// A proxy ends each connection that transmits the message, as a client does that cannot read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn costs_each_connection() {
    let site = Site::new().await;
    let proxy = Proxy::choking_on(&site.amqp_url, b"what no client survives").await;
    let process = Plan { amqp_url: proxy.url.clone(), ..site.plan() }.start().await;
    let condition = "a message that costs every connection over which it is delivered";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], Load { over: Duration::from_secs(20), ..LOAD });
    tokio::time::sleep(MOMENT).await;
    let message = start(&site.queue("starts"), "order", "culprit", "what no client survives");
    assert_eq!(site.broker.publish(vec![message]).await, [Published::Confirmed]);
    run.over();
    until(Duration::from_secs(90), "parked", async || {
        (site.broker.depth(&site.queue("parked")).await.is_ok_and(|depth| depth == 1)).then_some(())
    })
    .await;
    run.remark(format!("parked after {}", seconds(run.since_over())));
    run.over();
    run.finish().await;
    let parked = site.broker.depth(&site.queue("parked")).await;
    assert_eq!(parked.expect("a depth"), 1, "good messages are not parked");
    assert_eq!(process.terminate().await, Some(0));
}

/// Starts of 240 KB that wait when a process starts. `count` counts the handled ones.
async fn large_starts(condition: &'static str, definition: &str, count: &str) {
    let site = Site::new().await;
    let scan = crate::site::order(&site.exchange)
        .replace("saga: order", "saga: scan")
        .replace("required: [", "required: [page, ")
        .replace("properties: {", "properties: { page: { type: string },")
        .replacen("payload: { orderId:", "payload: { page: \"${ input.page }\", orderId:", 1);
    site.define("scan.yaml", &scan);
    let plan = site.plan();
    assert_eq!(plan.start().await.terminate().await, Some(0));
    let page = "page".repeat(60_000);
    for number in 0..LARGE_STARTS {
        let input = json!({"orderId": format!("scan-{number}"), "page": page}).to_string();
        let message = start(&site.queue("starts"), definition, &format!("scan-{number}"), &input);
        assert_eq!(site.broker.publish(vec![message]).await, [Published::Confirmed]);
    }
    let process = plan.spawn();
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    run.over();
    let mut reader = Reader::new(&site.database_url);
    until(Duration::from_secs(120), "all large starts", async || {
        (reader.count(count).await == Some(LARGE_STARTS)).then_some(())
    })
    .await;
    run.remark(format!("all 450 after {}", seconds(run.since_over())));
    run.remark(format!("memory at its peak {} MiB", memory(&process, "VmHWM")));
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

/// Case 31.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn large_starts_after_a_downtime() {
    let completed = "SELECT count(*) FROM saga WHERE definition = 'scan' AND status = 'completed'";
    large_starts("450 starts of 240 KB wait when a process starts", "scan", completed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn large_dead_letters_after_a_downtime() {
    let kept = "SELECT count(*) FROM dead_letter";
    large_starts("450 dead letters of 240 KB wait when a process starts", "unknown", kept).await;
}
