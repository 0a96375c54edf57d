//! A process dies, is one too many, or loses its messages.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clients::Load;
use crate::run::Run;
use crate::site::Site;
use crate::support::Services;
use crate::support::orchestrator::Plan;
use crate::support::proxy::Proxy;
use crate::table::seconds;

const LOAD: Load = Load { http: 200, amqp: 100, over: Duration::from_secs(5) };
/// Longer than the bound of a run, so that nothing ends in time that waits for a lease.
const LEASES: [(&str, &str); 2] =
    [("SNORRI__ENGINE__OUTBOX_LEASE", "120s"), ("SNORRI__ENGINE__TIMER_LEASE", "120s")];

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
    run.remark(format!("{} messages in the outbox at its death", reserved.expect("PostgreSQL answers")));
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
    let reason = log.lines().find(|line| line.contains("prefix")).unwrap_or_default().to_owned();
    run.remark(format!("it says: `{}`", reason.replace(&site.prefix, "snorri")));
    run.finish().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(reason.contains("choose another"), "{log}");
    assert_eq!(process.terminate().await, Some(0));
}
