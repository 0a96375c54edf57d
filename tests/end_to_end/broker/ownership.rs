//! Snorri's own queues and exchanges, when others delete them or try to use them.

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};

use crate::support::Services;
use crate::*;

#[tokio::test]
async fn queues_and_exchanges_that_are_deleted_come_back() {
    let world = World::new().await;
    let connection = Connection::connect(&world.plan.amqp_url, ConnectionProperties::default()).await;
    let operator = connection.expect("a connection").create_channel().await.expect("a channel");
    let queues = ["starts", "events", "signals", "replies", "dead-letters", "probation", "parked", "probe"]
        .map(|name| format!("{}.{name}", world.plan.prefix));
    let exchanges = ["lifecycle", "probation"].map(|name| format!("{}.{name}", world.plan.prefix));
    for queue in &queues {
        let deleted = operator.queue_delete(queue.as_str().into(), QueueDeleteOptions::default());
        deleted.await.expect("deleted");
    }
    for exchange in &exchanges {
        let deleted = operator.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default());
        deleted.await.expect("deleted");
    }
    for queue in &queues {
        until(Duration::from_secs(30), queue, async || world.broker.depth(queue).await.ok()).await;
    }
    until(Duration::from_secs(30), "ready", async || world.orchestrator.api.is_ready().await.then_some(()))
        .await;
    run(&world, &["completed"]).await;
}

#[tokio::test]
async fn orchestrators_of_two_databases_do_not_share_a_prefix() {
    let world = World::new().await;
    let database_url = Services::from_env().database().await;
    let port = Plan::new("", "", "", world.definitions.path()).port;
    let mut other = Plan { database_url, port, ..world.plan.clone() }.spawn();
    assert_eq!(other.exit().await, Some(1), "it does not start");
    run(&world, &["completed"]).await;

    let settings = vec![("SNORRI__BROKER__DECLARE_TOPOLOGY", "false".to_owned())];
    let database_url = Services::from_env().database().await;
    let mut careful = Plan { database_url, port, settings, ..world.plan.clone() }.spawn();
    assert_eq!(careful.exit().await, Some(1), "it does not start with `declare_topology = false` either");

    let mut same = Plan { port, ..world.plan.clone() }.start().await;
    same.signal("-TERM").await;
    assert_eq!(same.exit().await, Some(0), "one of the same database does");
}
