//! SIGTERM without the database or the broker.

use crate::support::Services;
use crate::support::logged::Logged;
use crate::support::proxy::Proxy;
use crate::*;

/// A process on services that can be taken away.
struct Place {
    database: Proxy,
    broker: Proxy,
    logged: Logged,
}

impl Place {
    async fn new() -> Self {
        let services = Services::from_env();
        let database = Proxy::to(&services.database().await).await;
        let broker = Proxy::to(&services.amqp_url).await;
        let logged = Logged::new(&broker.url, &database.url);
        Self { database, broker, logged }
    }
}

async fn stops_in_time(take_away: impl Fn(&Place)) {
    let place = Place::new().await;
    let process = place.logged.plan.start().await;
    let api = process.api.clone();
    let body =
        |key: usize| json!({"definition": "order", "input": {"orderId": format!("o-{key}"), "amount": 1}});
    assert_eq!(api.post("/v1/sagas", &body(0)).await.0, 201);
    take_away(&place);
    // Requests and sagas that cannot continue.
    let under_way: Vec<_> = (1..20)
        .map(|key| {
            let (api, body) = (api.clone(), body(key));
            tokio::spawn(async move { api.try_post("/v1/sagas", &body).await })
        })
        .collect();
    until(Duration::from_secs(20), "not ready", async || {
        let asked = Instant::now();
        let answer = api.get_if_up("/readyz").await.expect("an answer");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        (answer.0 == 503).then_some(())
    })
    .await;
    assert_eq!(api.text("/livez").await, "ok", "a restart would not help");
    let began = Instant::now();
    assert_eq!(process.terminate().await, Some(0), "{}", place.logged.log());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}: {}", began.elapsed(), place.logged.log());
    for request in under_way {
        request.await.expect("no panic");
    }
}

#[tokio::test]
async fn without_its_database_a_process_stops_within_5_s() {
    stops_in_time(|place| place.database.cut()).await;
}

#[tokio::test]
async fn with_a_silent_database_a_process_stops_within_5_s() {
    stops_in_time(|place| place.database.freeze()).await;
}

#[tokio::test]
async fn without_its_broker_a_process_stops_within_5_s() {
    stops_in_time(|place| place.broker.cut()).await;
}

#[tokio::test]
async fn with_a_silent_broker_a_process_stops_within_5_s() {
    stops_in_time(|place| place.broker.freeze()).await;
}
