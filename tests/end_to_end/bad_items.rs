//! A bad item affects only itself: one that the database gives up on, or one that cannot be read.

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};

use super::*;

const WAITING: &str = r#"
saga: order
version: 1
input: { type: object, required: [orderId], properties: { orderId: { type: string } } }
key: ${ input.orderId }
steps:
  - name: paid
    wait: { signal: paid }
    timeout: 1h
"#;

async fn database(world: &World) -> DatabaseConnection {
    Database::connect(&world.plan.database_url).await.expect("the database answers")
}

async fn execute(world: &World, statements: &[&str]) {
    let database = database(world).await;
    for statement in statements {
        database.execute_unprepared(statement).await.expect("a statement");
    }
    database.close().await.expect("an end");
}

/// Has PostgreSQL give up on appends to the journal, as after its statement timeout, if this condition holds.
async fn give_up_if(world: &World, condition: &str) {
    let function = format!(
        "CREATE OR REPLACE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF {condition} THEN RAISE EXCEPTION 'too slow' USING ERRCODE = '57014'; END IF;
             RETURN NULL;
         END $$"
    );
    let trigger = "CREATE OR REPLACE TRIGGER give_up AFTER INSERT ON journal
        REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION give_up()";
    execute(world, &[&function, trigger]).await;
}

/// Publishes a start for each of these orders, all at once.
async fn publish_starts(world: &World, orders: &[String]) {
    let start = |order: &String| Publication {
        exchange: String::new(),
        routing_key: format!("{}.starts", world.plan.prefix),
        properties: Properties {
            kind: Some("order".to_owned()),
            message_id: Some(order.clone()),
            ..Properties::default()
        },
        body: json!({"orderId": order, "amount": 100}).to_string().into_bytes(),
    };
    let published = world.broker.publish(orders.iter().map(start).collect()).await;
    assert!(published.iter().all(|published| *published == Published::Confirmed));
}

async fn sagas(world: &World, query: &str) -> Vec<Value> {
    let (status, answer) = world.orchestrator.api.get(&format!("/v1/sagas?limit=100{query}")).await;
    assert_eq!(status, 200, "{answer}");
    answer["sagas"].as_array().expect("a list").clone()
}

/// The order saga whose attempts do not time out while the database takes its time to give up.
fn patient(exchange: &str) -> String {
    support::world::order(exchange).replace("timeout: 500ms", "timeout: 60s")
}

/// A batch that is too large for the database (case 31) is split and committed completely.
#[tokio::test]
async fn a_batch_that_the_database_gives_up_on_is_split() {
    let world = World::with(&COMMANDS, patient).await;
    give_up_if(&world, "(SELECT count(*) FROM appended) > 3").await;
    publish_starts(&world, &(0..60).map(|number| format!("o-{number}")).collect::<Vec<_>>()).await;
    until(Duration::from_secs(60), "60 orders", async || {
        (sagas(&world, "&status=completed").await.len() == 60).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_input_that_the_database_gives_up_on_is_refused_alone() {
    let world = World::with(&COMMANDS, patient).await;
    give_up_if(&world, "EXISTS (SELECT FROM appended WHERE entry LIKE '%culprit%')").await;
    let mut orders: Vec<_> = (0..40).map(|number| format!("o-{number}")).collect();
    orders.insert(20, "culprit".to_owned());
    publish_starts(&world, &orders).await;
    until(Duration::from_secs(60), "40 orders", async || {
        (sagas(&world, "&status=completed").await.len() == 40).then_some(())
    })
    .await;
    let letter = until(Duration::from_secs(60), "a dead letter", async || {
        // Commits of others show that the database is not the reason.
        publish_starts(&world, &[uuid::Uuid::now_v7().to_string()]).await;
        let (_, answer) = world.orchestrator.api.get("/v1/dead-letters").await;
        answer["dead_letters"].as_array().and_then(|letters| letters.first().cloned())
    })
    .await;
    assert_eq!(letter["code"], "invalid_value", "{letter}");

    let (status, answer) = world
        .orchestrator
        .api
        .post("/v1/sagas", &json!({"definition": "order", "input": order("culprit")}))
        .await;
    assert_eq!((status, &answer["code"]), (503, &json!("store_unavailable")), "{answer}");
}

/// A saga whose journal is no longer JSON (case 29) is visible, and hides no other.
#[tokio::test]
async fn a_saga_that_cannot_be_read_is_set_aside_alone() {
    let world = World::with(&[], |_| WAITING.to_owned()).await;
    let mut ids = Vec::new();
    for key in ["a", "b", "c"] {
        ids.push(world.orchestrator.api.start("order", &json!({"orderId": key})).await);
    }
    let spoil = format!("UPDATE journal SET entry = 'nonsense' WHERE saga = '{}'", ids[1]);
    execute(&world, &[&spoil]).await;
    // A new process has an empty cache.
    let World { plan, orchestrator, definitions: _definitions, .. } = world;
    orchestrator.kill().await;
    let orchestrator = plan.start().await;
    let api = &orchestrator.api;

    let signals =
        ids.iter().map(async |id| api.post(&format!("/v1/sagas/{id}/signals/other"), &json!({})).await);
    let answers = join_all(signals).await;
    assert_eq!(answers[1].1["code"], "unreadable", "{answers:?}");
    let again = json!({"definition": "order", "input": {"orderId": "b"}});
    let (_, answer) = api.post("/v1/sagas", &again).await;
    assert_eq!(answer["code"], "unreadable", "{answer}");
    let set_aside = until(Duration::from_secs(20), "an incident", async || {
        let (_, answer) = api.get("/v1/sagas?incident=unreadable").await;
        answer["sagas"].as_array().and_then(|sagas| sagas.first().cloned())
    })
    .await;
    assert_eq!(set_aside["id"], ids[1]);

    let (status, answer) = api.get("/v1/sagas?step=paid").await;
    assert_eq!((status, answer["sagas"].as_array().map(Vec::len)), (200, Some(2)), "{answer}");
    let dry_run = ["bulk", "cancel", "--definition", "order", "--reason", "a test", "--dry-run"];
    let printed = api.command(&dry_run).await;
    assert!(printed.contains(&ids[1]), "{printed}");
    let (status, answer) = api.post(&format!("/v1/sagas/{}/signals/paid", ids[0]), &json!({})).await;
    assert!(status < 300, "{status} {answer}");
    api.wait_for(&ids[0], &["completed"]).await;
    assert_eq!(orchestrator.terminate().await, Some(0));
}
