//! Good messages that were delivered many times.

use sea_orm::{ConnectionTrait, Database, TransactionTrait};

use crate::*;

/// More than the limits of probation and parking.
const KILLS: usize = 10;
const STARTS: usize = 100;
/// Longer than a process waits before it consumes messages in probation.
const IN_PROBATION: Duration = Duration::from_secs(4);

#[tokio::test]
async fn starts_survive_a_locked_journal_and_many_kills() {
    let World { plan, orchestrator, broker, participants, definitions, .. } = World::new().await;
    let own = |name: &str| format!("{}.{name}", plan.prefix);
    let database = Database::connect(&plan.database_url).await.expect("a database");
    let transaction = database.begin().await.expect("a transaction");
    transaction.execute_unprepared("LOCK TABLE journal IN EXCLUSIVE MODE").await.expect("a lock");
    let start = |number: usize| Publication {
        routing_key: own("starts"),
        properties: Properties {
            kind: Some("order".to_owned()),
            message_id: Some(format!("start-{number}")),
            ..Properties::default()
        },
        body: order(&format!("o-{number}")).to_string().into_bytes(),
        ..Publication::default()
    };
    let published = broker.publish((0..STARTS).map(start).collect()).await;
    assert!(published.iter().all(|published| *published == Published::Confirmed), "{published:?}");
    let depth = async |name: &str| broker.depth(&own(name)).await.expect("a depth");
    let mut running = orchestrator;
    for _ in 0..KILLS {
        until(Duration::from_secs(60), "all starts delivered", async || {
            running.api.try_get("/v1/definitions").await?;
            (depth("starts").await == 0).then_some(())
        })
        .await;
        if depth("probation").await > 0 {
            tokio::time::sleep(IN_PROBATION).await;
        }
        running.kill().await;
        until(Duration::from_secs(60), "all starts back", async || {
            (depth("starts").await + depth("probation").await == STARTS as u64).then_some(())
        })
        .await;
        running = plan.spawn();
    }
    assert_eq!(depth("probation").await, STARTS as u64, "they have become suspect");
    transaction.rollback().await.expect("an end");
    until(Duration::from_secs(120), "all sagas", async || {
        let request = running.api.try_get("/v1/sagas?limit=500").await?;
        (request["sagas"].as_array()?.len() == STARTS).then_some(())
    })
    .await;
    let (_, letters) = running.api.get("/v1/dead-letters").await;
    assert_eq!(letters["dead_letters"], json!([]));
    for queue in ["parked", "probation", "starts"] {
        assert_eq!(depth(queue).await, 0, "{queue}");
    }
    drop((participants, definitions));
}
