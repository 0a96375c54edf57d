//! A process with a wrong clock next to one with a correct clock.

use std::time::Duration;

use crate::clients::Load;
use crate::run::{Expected, Run};
use crate::site::Site;
use crate::support::faults::faketime;
use crate::support::orchestrator::Plan;
use crate::support::until;

const LOAD: Load = Load { http: 150, amqp: 50, over: Duration::from_secs(5) };

/// Commands take a second, so that timers are looked for while replies are awaited. A false timeout would send a command again.
async fn wrong_clock(condition: &'static str, offset: &str, ready: bool) {
    let site = Site::new().await;
    let right = site.plan().start().await;
    let mut plan = site.plan();
    plan.run_by.push("env");
    plan.run_by.extend(faketime(offset));
    let wrong = Plan { ..plan }.spawn();
    until(Duration::from_secs(30), "a process with a wrong clock", async || {
        let report = wrong.api.get_if_up("/readyz").await?;
        (report.1["database"] == "ok" && report.1["broker"] == "ok").then_some(())
    })
    .await;
    site.participant.delay(Duration::from_secs(1));
    let mut run = Run::begin(condition, &site, &[&right.api, &wrong.api]).await;
    run.expect(Expected { ready, ..Expected::default() });
    run.load(&[&right.api, &wrong.api], LOAD);
    run.over();
    run.finish().await;
    assert_eq!(site.participant.retries(), 0, "a false timeout");
    assert_eq!(wrong.terminate().await, Some(0));
    assert_eq!(right.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn ahead_20_s() {
    wrong_clock("clock of one of two processes 20 s ahead", "+20s", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn behind_20_s() {
    wrong_clock("clock of one of two processes 20 s behind", "-20s", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn ahead_1_h() {
    wrong_clock("clock of one of two processes 1 h ahead", "+1h", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn behind_1_h() {
    wrong_clock("clock of one of two processes 1 h behind", "-1h", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn ahead_400_d() {
    wrong_clock("clock of one of two processes 400 days ahead", "+400d", false).await;
}
