//! A process dies, is one too many, or loses its messages.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::clients::Load;
use crate::run::Run;
use crate::site::Site;
use crate::support::Services;
use crate::support::orchestrator::Plan;
use crate::support::proxy::Proxy;
use crate::table::seconds;

const LOAD: Load = Load { http: 200, amqp: 100, over: Duration::from_secs(5) };
/// Longer than the bound of a run, so that a saga that waits for a lease does not end in time.
const LEASES: [(&str, &str); 2] =
    [("SNORRI__ENGINE__OUTBOX_LEASE", "120s"), ("SNORRI__ENGINE__TIMER_LEASE", "120s")];

const HALF_A_REQUEST: &[u8] =
    b"POST /v1/sagas HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";

fn long_leases(plan: Plan) -> Plan {
    let leases = LEASES.map(|(name, value)| (name, value.to_owned()));
    let settings = [plan.settings.clone(), leases.to_vec()].concat();
    Plan { settings, ..plan }
}

/// Its connections to the broker are frozen right before, so that it commits what it cannot publish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn killed_between_commit_and_publish() {
    let site = Site::new().await;
    let proxy = Proxy::to(&site.amqp_url).await;
    let survives = long_leases(site.plan()).start().await;
    let dies = long_leases(Plan { amqp_url: proxy.url.clone(), ..site.plan() }).start().await;
    let condition = "`kill -9` of one of two processes between commit and publish, leases of 120 s";
    let mut run = Run::begin(condition, &site, &[&survives.api]).await;
    run.load(&[&survives.api, &dies.api], LOAD);
    sleep(Duration::from_secs(2)).await;
    proxy.freeze();
    sleep(Duration::from_secs(1)).await;
    dies.kill().await;
    proxy.cut();
    run.over();
    let mut reader = crate::outcome::Reader::new(&site.database_url);
    let reserved = reader.count("SELECT count(*) FROM outbox WHERE holder IS NOT NULL").await;
    run.remark(format!("{} rows in the outbox at its death", reserved.expect("PostgreSQL answers")));
    run.finish().await;
    assert!(reserved > Some(0), "it died with unsent messages");
    assert_eq!(survives.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn killed_again_and_again() {
    let site = Site::new().await;
    let plan = site.plan();
    let mut process = plan.start().await;
    let api = process.api.clone();
    let mut run = Run::begin("the only process: `kill -9` and started again, 5 times", &site, &[&api]).await;
    run.load(&[&api], Load { over: Duration::from_secs(10), ..LOAD });
    for _ in 0..5 {
        sleep(Duration::from_millis(1_500)).await;
        process.kill().await;
        process = plan.start().await;
    }
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn hung_up() {
    let site = Site::new().await;
    let process = site.plan().start().await;
    let mut run = Run::begin("SIGHUP, 5 times", &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    for _ in 0..5 {
        sleep(Duration::from_millis(500)).await;
        process.signal("-HUP").await;
    }
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

/// Neither connections that send nothing nor those with a body that does not arrive keep clients out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn silent_connections() {
    let site = Site::new().await;
    let mut plan = site.plan();
    plan.settings.push(("SNORRI__HTTP__MAX_CONNECTIONS", "200".to_owned()));
    let process = plan.start().await;
    let condition = "1,000 HTTP connections that are silent or send half a request, `max_connections = 200`";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    sleep(Duration::from_secs(1)).await;
    let mut connections = Vec::new();
    for number in 0..1_000 {
        let connected = TcpStream::connect(("127.0.0.1", plan.port)).await;
        let mut connection = connected.expect("a connection");
        let bytes = if number % 2 == 0 { &b""[..] } else { HALF_A_REQUEST };
        connection.write_all(bytes).await.expect("written");
        connections.push(connection);
    }
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

/// Case 07.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn two_databases_on_one_prefix() {
    let site = Site::new().await;
    let process = site.plan().start().await;
    let condition = "a second orchestrator with another database on the same prefix";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    let began = Instant::now();
    let mut other = Plan { database_url: Services::from_env().database().await, ..site.plan() }.spawn();
    let code = other.exit().await;
    run.over();
    run.remark(format!("the second exits with {} after {}", code.unwrap_or(-1), seconds(began.elapsed())));
    let log = site.log();
    let reason = log.lines().find(|line| line.contains("of another database")).unwrap_or_default().to_owned();
    run.remark(format!("message: `{}`", reason.replace(&site.prefix, "snorri")));
    run.finish().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(reason.contains("Choose another"), "{log}");
    assert_eq!(process.terminate().await, Some(0));
}
