//! Exchanges that others declared: an unusable one affects only its own definition.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use snorri_broker::amqp::{self, AmqpBroker};
use snorri_ports::broker::{Broker, Publication, Published};
use tempfile::TempDir;

use crate::support::ledger::Ledger;
use crate::support::orchestrator::{Api, Plan};
use crate::support::participants::Participants;
use crate::support::world::{COMMANDS, order};
use crate::support::{Services, until};
use crate::vhost::Vhost;

/// Longer than the pauses between the checks of an unusable exchange.
const PATIENCE: Duration = Duration::from_secs(60);

/// A virtual host with a database, and how to start an orchestrator on them.
struct Place {
    vhost: Vhost,
    plan: Plan,
    definitions: TempDir,
}

impl Place {
    /// `None`: there is no management API. There are no definitions yet.
    async fn new() -> Option<Self> {
        let vhost = Vhost::new().await?;
        let definitions = tempfile::tempdir().expect("a directory");
        let database = Services::from_env().database().await;
        let plan = Plan::new(vhost.amqp(), &database, "snorri", definitions.path());
        Some(Self { vhost, plan, definitions })
    }

    fn define(&self, name: &str, source: &str) {
        std::fs::write(self.definitions.path().join(format!("{name}.yaml")), source).expect("written");
    }

    /// As the owner of the virtual host.
    async fn broker(&self) -> Arc<dyn Broker> {
        let options = amqp::Options::new(self.vhost.amqp().into());
        Arc::new(AmqpBroker::connect(&options).await.expect("RabbitMQ answers"))
    }

    async fn participants(&self, exchange: &str) -> Participants {
        Participants::start(self.broker().await, exchange, &COMMANDS, Ledger::default()).await
    }
}

/// A place, or the end of the test if there is no management API.
macro_rules! place {
    () => {
        match Place::new().await {
            Some(place) => place,
            None => return eprintln!("skipped: SNORRI_TEST_MANAGEMENT_URL is not set"),
        }
    };
}

/// The order saga under another name.
fn named(name: &str, exchange: &str) -> String {
    order(exchange).replace("saga: order", &format!("saga: {name}"))
}

async fn start(api: &Api, definition: &str, key: &str) -> (u16, Value) {
    let input = json!({"orderId": key, "amount": 1});
    api.post("/v1/sagas", &json!({"definition": definition, "input": input})).await
}

/// Why the sagas of a definition cannot be started.
async fn unusable(api: &Api, definition: &str) -> Value {
    api.get(&format!("/v1/definitions/{definition}")).await.1["versions"][0]["unusable"].clone()
}

async fn register(api: &Api, name: &str, exchange: &str) -> (u16, Value) {
    api.post("/v1/definitions", &json!({"source": named(name, exchange), "actor": "ann"})).await
}

/// The codes of the findings, with their severities.
fn found(answer: &Value) -> Vec<(&str, &str)> {
    let list = answer["diagnostics"]["diagnostics"].as_array().into_iter().flatten();
    list.map(|one| (one["code"].as_str().expect("a code"), one["severity"].as_str().expect("a word")))
        .collect()
}

#[tokio::test]
async fn a_fanout_exchange_keeps_only_its_own_definition_from_starting() {
    let place = place!();
    place.vhost.exchange("shop.commands", "fanout", &json!({})).await;
    place.define("order", &order("shop.commands"));
    place.define("other", &named("other", "other.commands"));
    let participants = place.participants("other.commands").await;
    let orchestrator = place.plan.start().await;
    let api = &orchestrator.api;

    let (status, problem) = start(api, "order", "o-1").await;
    assert_eq!((status, &problem["code"]), (409, &json!("exchange_unusable")), "{problem}");
    assert!(
        problem["detail"].as_str().expect("text").contains("`shop.commands` is of type fanout"),
        "{problem}"
    );
    assert!(unusable(api, "order").await.as_str().expect("a reason").contains("fanout"));
    assert_eq!(unusable(api, "other").await, Value::Null);
    let (status, saga) = start(api, "other", "o-1").await;
    assert_eq!(status, 201, "{saga}");
    api.wait_for(saga["id"].as_str().expect("an id"), &["completed"]).await;
    assert!(api.is_ready().await);

    // It is repaired, which is found without a restart.
    place.vhost.delete_exchange("shop.commands").await;
    until(PATIENCE, "the definition to be usable again", async || {
        (start(api, "order", "o-1").await.0 == 201).then_some(())
    })
    .await;
    assert_eq!(unusable(api, "order").await, Value::Null);
    assert_eq!(orchestrator.terminate().await, Some(0));
    participants.stop().await;
    place.vhost.gone().await;
}

#[tokio::test]
async fn an_exchange_that_does_not_fit_is_refused_at_registration() {
    let place = place!();
    for kind in ["fanout", "headers", "direct"] {
        place.vhost.exchange(kind, kind, &json!({})).await;
    }
    place.vhost.exchange_with("internal", &json!({"type": "topic", "durable": true, "internal": true})).await;
    place.vhost.exchange("alternate", "topic", &json!({"alternate-exchange": "unrouted"})).await;
    place.vhost.exchange_with("auto", &json!({"type": "topic", "durable": true, "auto_delete": true})).await;
    place.vhost.exchange_with("transient", &json!({"type": "topic", "durable": false})).await;
    place.vhost.exchange("right", "topic", &json!({})).await;
    let orchestrator = place.plan.start().await;
    let api = &orchestrator.api;

    for exchange in ["fanout", "headers", "internal"] {
        let (status, problem) = register(api, exchange, exchange).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid_definition")), "{problem}");
        assert!(found(&problem).iter().all(|one| *one == ("E0802", "error")), "{problem}");
        let text = problem["diagnostics"].to_string();
        assert!(exchange == "internal" || text.contains("broker.declare_topology"), "{text}");
        assert_eq!(api.get(&format!("/v1/definitions/{exchange}")).await.0, 404);
    }
    for exchange in ["direct", "alternate", "auto", "transient"] {
        let (status, version) = register(api, exchange, exchange).await;
        assert_eq!(status, 201, "{version}");
        assert!(found(&version).contains(&("E0802", "warning")), "{version}");
        assert_eq!(start(api, exchange, "o-1").await.0, 201, "{exchange}");
    }
    for exchange in ["right", "missing"] {
        let (status, version) = register(api, exchange, exchange).await;
        assert_eq!((status, found(&version)), (201, Vec::new()), "{version}");
    }
    let checked = json!({"source": named("checked", "not-declared"), "check_only": true, "actor": "ann"});
    assert_eq!(api.post("/v1/definitions", &checked).await.0, 200);
    let exchanges = place.vhost.list("exchanges").await;
    let is_there = |name: &str| exchanges.iter().any(|exchange| exchange["name"] == name);
    assert_eq!((is_there("missing"), is_there("not-declared")), (true, false));
    assert_eq!(orchestrator.terminate().await, Some(0));
    place.vhost.gone().await;
}

#[tokio::test]
async fn an_exchange_that_became_another_one_does_not_keep_the_process_from_starting() {
    let place = place!();
    place.define("order", &order("shop.commands"));
    let orchestrator = place.plan.start().await;
    assert_eq!(start(&orchestrator.api, "order", "o-1").await.0, 201);
    let off = json!({"reason": "wrong exchange", "actor": "ann"});
    let (status, _) = orchestrator.api.post("/v1/definitions/order/versions/1/deactivate", &off).await;
    assert_eq!(status, 200);
    assert_eq!(orchestrator.terminate().await, Some(0));
    place.vhost.delete_exchange("shop.commands").await;
    place.vhost.exchange("shop.commands", "headers", &json!({})).await;

    let orchestrator = place.plan.start().await;
    let api = &orchestrator.api;
    assert_eq!(start(api, "order", "o-2").await.1["code"], "definition_inactive");
    let (status, version) = api.post("/v1/definitions/order/versions/1/activate", &off).await;
    assert_eq!(status, 200);
    assert!(version["unusable"].as_str().expect("a reason").contains("headers"), "{version}");
    assert_eq!(start(api, "order", "o-2").await.1["code"], "exchange_unusable");
    assert_eq!(orchestrator.terminate().await, Some(0));
    place.vhost.gone().await;
}

#[tokio::test]
async fn without_declare_topology_exchanges_are_used_as_they_are() {
    let mut place = place!();
    place.vhost.exchange("shop.commands", "fanout", &json!({})).await;
    place.define("order", &order("shop.commands"));
    place.define("other", &named("other", "other.commands"));
    place.plan.settings = vec![("SNORRI__BROKER__DECLARE_TOPOLOGY", "false".to_owned())];
    let participants = place.participants("shop.commands").await;
    let orchestrator = place.plan.start().await;
    let api = &orchestrator.api;
    let (status, saga) = start(api, "order", "o-1").await;
    assert_eq!(status, 201, "{saga}");
    api.wait_for(saga["id"].as_str().expect("an id"), &["completed"]).await;
    let (_, problem) = start(api, "other", "o-1").await;
    assert_eq!(problem["code"], "exchange_unusable");
    assert!(
        problem["detail"].as_str().expect("text").contains("`broker.declare_topology = false`"),
        "{problem}"
    );
    let exchanges = place.vhost.list("exchanges").await;
    assert!(exchanges.iter().all(|exchange| exchange["name"] != "other.commands"), "nothing is declared");
    assert_eq!(orchestrator.terminate().await, Some(0));
    participants.stop().await;
    place.vhost.gone().await;
}

#[tokio::test]
async fn a_user_with_the_documented_rights_is_enough() {
    let mut place = place!();
    for exchange in ["shop.commands", "web.events"] {
        place.vhost.exchange(exchange, "topic", &json!({})).await;
    }
    let triggered = order("shop.commands")
        .replace("defaults:", "start:\n  - { event: order.placed, exchange: web.events }\ndefaults:");
    place.define("order", &triggered);
    let (write, read) = (r"^(snorri\..*|amq\.default|shop\.commands)$", r"^(snorri\..*|web\.events)$");
    place.plan.amqp_url = place.vhost.user(r"^snorri\..*$", write, read).await;
    let participants = place.participants("shop.commands").await;
    let orchestrator = place.plan.start().await;
    let api = &orchestrator.api;
    let broker = place.broker().await;
    let event = Publication {
        exchange: "web.events".to_owned(),
        routing_key: "order.placed".to_owned(),
        properties: snorri_ports::broker::Properties {
            kind: Some("order.placed".to_owned()),
            ..Default::default()
        },
        body: json!({"orderId": "o-1", "amount": 5}).to_string().into_bytes(),
    };
    assert_eq!(broker.publish(vec![event]).await, [Published::Confirmed]);
    until(PATIENCE, "the saga of the event to complete", async || {
        let (_, page) = api.get("/v1/sagas?definition=order&key=o-1&status=completed").await;
        (page["sagas"].as_array()?.len() == 1).then_some(())
    })
    .await;
    assert!(api.is_ready().await);

    // With these rights a missing exchange cannot be declared, nor one be bound without the right to read it.
    let (status, problem) = register(api, "missing", "missing").await;
    assert_eq!((status, &problem["code"]), (422, &json!("exchange_unusable")), "{problem}");
    assert!(problem["detail"].as_str().expect("text").contains("the right `configure`"), "{problem}");
    place.vhost.exchange("secret.events", "topic", &json!({})).await;
    let source = triggered.replace("web.events", "secret.events").replace("saga: order", "saga: spy");
    let (status, problem) = api.post("/v1/definitions", &json!({"source": source, "actor": "ann"})).await;
    assert_eq!((status, &problem["code"]), (422, &json!("exchange_unusable")), "{problem}");
    assert!(problem["detail"].as_str().expect("text").contains("the right `read`"), "{problem}");
    assert!(api.is_ready().await, "a refused declaration disturbs nothing");
    assert_eq!(start(api, "order", "o-2").await.0, 201);
    assert_eq!(orchestrator.terminate().await, Some(0));
    participants.stop().await;
    place.vhost.without_user().await;
    place.vhost.gone().await;
}
