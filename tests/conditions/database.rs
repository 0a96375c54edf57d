//! PostgreSQL is unavailable, does not answer, or takes no writes.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use tokio::time::sleep;

use crate::clients::Load;
use crate::run::Run;
use crate::site::Site;
use crate::support::orchestrator::Plan;
use crate::support::proxy::Proxy;
use crate::support::service;

const LOAD: Load = Load { http: 300, amqp: 200, over: Duration::from_secs(12) };
const BEFORE: Duration = Duration::from_secs(2);
const OUTAGE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn killed() {
    let site = Site::new().await;
    let process = site.plan().start().await;
    let mut run = Run::begin("database: `kill -9`, started again after 10 s", &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    sleep(BEFORE).await;
    assert!(service("kill", "database").await, "the services are ours");
    sleep(OUTAGE).await;
    service("start", "database").await;
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn frozen() {
    let site = Site::new().await;
    let proxy = Proxy::to(&site.database_url).await;
    let process = Plan { database_url: proxy.url.clone(), ..site.plan() }.start().await;
    let mut run = Run::begin("database: connections frozen for 10 s", &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    sleep(BEFORE).await;
    proxy.freeze();
    sleep(OUTAGE).await;
    proxy.mend();
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

/// Case 15: the state after a failover. Sessions stay read-only, new ones are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn read_only() {
    let site = Site::new().await;
    let process = site.plan().start().await;
    let condition = "database: read-only for 10 s, its sessions permanently";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    sleep(BEFORE).await;
    let (server, name) = site.database_url.rsplit_once('/').expect("a URL");
    let server = Database::connect(format!("{server}/postgres")).await.expect("PostgreSQL answers");
    let only_read = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    let end_sessions =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    let read_and_write = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    for statement in [only_read, end_sessions] {
        server.execute_unprepared(&statement).await.expect("a statement");
    }
    sleep(OUTAGE).await;
    server.execute_unprepared(&read_and_write).await.expect("a statement");
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn first_address_gone() {
    let site = Site::new().await;
    let proxy = Proxy::to(&site.database_url).await;
    let database_url = format!("{},{}", proxy.url, site.database_url);
    let process = Plan { database_url, ..site.plan() }.start().await;
    let condition = "database: the first of two addresses is cut permanently";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], Load { over: Duration::from_secs(5), ..LOAD });
    sleep(BEFORE).await;
    proxy.cut();
    run.over();
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}
