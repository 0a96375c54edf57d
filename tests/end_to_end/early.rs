//! Events that arrive before their saga, with one, two and three processes (case 05).

use super::*;

fn shipment(exchange: &str) -> String {
    format!(
        r#"
saga: order
version: 1
input: {{ type: object, required: [orderId], properties: {{ orderId: {{ type: string }} }} }}
key: ${{ input.orderId }}
start:
  - event: order.placed
    exchange: {exchange}
    input: {{ orderId: "${{ event.orderId }}" }}
steps:
  - name: paid
    wait: {{ event: order.billed, exchange: {exchange}, correlate: "${{ event.orderId }}" }}
    timeout: 1h
"#
    )
}

const PAIRS: usize = 200;

/// Publishes the start event and the awaited event of 200 orders; every saga completes.
async fn run(processes: usize, events: [&str; 2]) {
    let world = World::with(&[], shipment).await;
    let mut others = Vec::new();
    for _ in 1..processes {
        let Plan { amqp_url, database_url, prefix, definitions, .. } = &world.plan;
        others.push(Plan::new(amqp_url, database_url, prefix, definitions).start().await);
    }
    let publication = |number: usize, event: &str| Publication {
        exchange: world.exchange.clone(),
        routing_key: event.to_owned(),
        properties: Properties { message_id: Some(format!("{event}-{number}")), ..Properties::default() },
        body: json!({"orderId": format!("o-{number}")}).to_string().into_bytes(),
    };
    let pairs = (0..PAIRS).flat_map(|number| events.map(|event| publication(number, event)));
    let published = world.broker.publish(pairs.collect()).await;
    assert!(published.iter().all(|published| *published == Published::Confirmed), "{published:?}");
    let api = &world.orchestrator.api;
    let expected = json!([{"definition": "order", "version": 1, "status": "completed", "count": PAIRS}]);
    until(Duration::from_secs(60), "200 of 200", async || {
        let (_, body) = api.get("/v1/sagas/counts").await;
        (body["counts"] == expected).then_some(())
    })
    .await;
    let (_, page) = api.get("/v1/dead-letters").await;
    assert_eq!(page["dead_letters"], json!([]));
}

#[tokio::test]
async fn one_process_loses_no_event() {
    run(1, ["order.placed", "order.billed"]).await;
}

#[tokio::test]
async fn two_processes_lose_no_event() {
    run(2, ["order.placed", "order.billed"]).await;
}

#[tokio::test]
async fn three_processes_lose_no_event() {
    run(3, ["order.placed", "order.billed"]).await;
}

#[tokio::test]
async fn three_processes_lose_no_event_that_comes_first() {
    run(3, ["order.billed", "order.placed"]).await;
}
