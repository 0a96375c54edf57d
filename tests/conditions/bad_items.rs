//! One bad saga or definition among good ones.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use serde_json::json;

use crate::clients::Load;
use crate::run::{Expected, Run};
use crate::site::{Site, order};
use crate::table::seconds;

const LOAD: Load = Load { http: 150, amqp: 150, over: Duration::from_secs(5) };

/// Case 29: a row of the journal is no longer JSON when its saga is loaded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn an_unreadable_journal() {
    let site = Site::new().await;
    let plan = site.plan();
    let process = plan.start().await;
    site.participant.delay(Duration::from_secs(2));
    let id = process.api.start("order", &json!({"orderId": "unreadable"})).await;
    process.kill().await;
    let database = Database::connect(&site.database_url).await.expect("PostgreSQL answers");
    let spoil = format!("UPDATE journal SET entry = 'nonsense' WHERE saga = '{id}'");
    database.execute_unprepared(&spoil).await.expect("an unreadable row");
    let process = plan.start().await;
    site.participant.delay(Duration::ZERO);
    let mut run = Run::begin("an unreadable row in the journal of one saga", &site, &[&process.api]).await;
    run.expect(Expected { incidents: 1, ..Expected::default() });
    run.load(&[&process.api], LOAD);
    run.over();
    run.finish().await;
    let found = process.api.get("/v1/sagas?incident=unreadable").await.1;
    assert_eq!(found["sagas"][0]["id"], id, "{found}");
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn definitions_that_cannot_be_loaded() {
    let site = Site::new().await;
    let plan = site.plan();
    let other = order(&site.exchange).replace("saga: order", "saga: other");
    site.define("other.yaml", &other);
    assert_eq!(plan.start().await.terminate().await, Some(0));
    site.define("other.yaml", &other.replace("attempts: 3", "attempts: 4"));
    site.define("nonsense.yaml", "saga: nonsense\nversion: 1\nsteps: [\n");
    let process = plan.start().await;
    let condition = "two definitions that cannot be loaded: not YAML, and other than registered";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.load(&[&process.api], LOAD);
    run.over();
    let body = json!({"definition": "other", "input": {"orderId": "other"}});
    let (status, problem) = process.api.post("/v1/sagas", &body).await;
    run.remark(format!(
        "a start of such a definition: {status} `{}`",
        problem["code"].as_str().unwrap_or("?")
    ));
    run.finish().await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(process.terminate().await, Some(0));
}

/// Sagas whose payload is the join of two lists of 1,000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "part of `make conditions`"]
async fn an_expression_over_its_budget() {
    const STARTS: usize = 20;
    let site = Site::new().await;
    let join = order(&site.exchange)
        .replace("saga: order", "saga: join")
        .replace("properties: {", "properties: { list: { type: array, items: { type: integer } },")
        .replacen(
            "payload: { orderId:",
            "payload: { pairs: \"${ input.list.map(a, input.list.filter(b, a == b)) }\", orderId:",
            1,
        );
    site.define("join.yaml", &join);
    let process = site.plan().start().await;
    let condition = "20 sagas with an expression over its budget (a join of 1,000 × 1,000)";
    let mut run = Run::begin(condition, &site, &[&process.api]).await;
    run.expect(Expected { compensated: STARTS, ..Expected::default() });
    run.load(&[&process.api], LOAD);
    let list: Vec<_> = (0..1_000).collect();
    let mut slowest = Duration::ZERO;
    for number in 0..STARTS {
        let began = tokio::time::Instant::now();
        let id = process.api.start("join", &json!({"orderId": format!("join-{number}"), "list": list})).await;
        slowest = slowest.max(began.elapsed());
        let saga = process.api.wait_for(&id, &["compensated"]).await;
        assert_eq!(saga["problem"]["code"], "expression_failed", "{saga}");
    }
    run.over();
    run.remark(format!(
        "each compensated with `expression_failed`; the slowest start took {}",
        seconds(slowest)
    ));
    run.finish().await;
    assert_eq!(process.terminate().await, Some(0));
}
