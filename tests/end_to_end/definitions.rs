//! Definitions that cannot be loaded (case 11): each affects only its own sagas.

use sea_orm::{ConnectionTrait, Database};

use super::support::orchestrator::Api;
use super::support::world::order;
use super::*;

async fn start(api: &Api, definition: &str, key: &str) -> (u16, Value) {
    let input = json!({"orderId": key, "amount": 1});
    api.post("/v1/sagas", &json!({"definition": definition, "input": input})).await
}

async fn readiness(api: &Api) -> Value {
    let (status, report) = api.get("/readyz").await;
    assert_eq!(status, 200, "{report}");
    report
}

/// The load errors that the API reports: definition and code, by file.
async fn load_errors(api: &Api) -> Vec<(Value, Value)> {
    let (status, answer) = api.get("/v1/definitions").await;
    assert_eq!(status, 200, "{answer}");
    let errors = answer["load_errors"].as_array().cloned().unwrap_or_default();
    errors.into_iter().map(|error| (error["definition"].clone(), error["code"].clone())).collect()
}

#[tokio::test]
async fn a_file_that_means_the_same_is_the_registered_version() {
    let mut world = World::new().await;
    assert_eq!(world.orchestrator.terminate().await, Some(0));
    let path = world.definitions.path().join("order.yaml");
    let source = std::fs::read_to_string(&path).expect("the definition");
    let same = [
        format!("# reviewed by the payments team\n{source}"),
        source.replace('\n', "\r\n"),
        format!("{source}\n"),
        source.replace("saga: order\nversion: 1", "version: 1\nsaga: \"order\""),
    ];
    for (index, text) in same.iter().enumerate() {
        std::fs::write(&path, text).expect("written");
        world.orchestrator = world.plan.start().await;
        let api = &world.orchestrator.api;
        assert_eq!(load_errors(api).await, [], "{text}");
        let (status, answer) = start(api, "order", &format!("o-{index}")).await;
        assert_eq!(status, 201, "{answer}");
        assert_eq!(world.orchestrator.terminate().await, Some(0));
    }
    world.orchestrator = world.plan.start().await;
}

#[tokio::test]
async fn a_digest_of_an_earlier_release_is_no_difference() {
    let mut world = World::new().await;
    assert_eq!(world.orchestrator.terminate().await, Some(0));
    let database = Database::connect(&world.plan.database_url).await.expect("PostgreSQL answers");
    database.execute_unprepared("UPDATE definition SET digest = 'of the text'").await.expect("updated");
    world.orchestrator = world.plan.start().await;
    assert_eq!(start(&world.orchestrator.api, "order", "o-1").await.0, 201);
    let source =
        std::fs::read_to_string(world.definitions.path().join("order.yaml")).expect("the definition");
    let (status, answer) =
        world.orchestrator.api.post("/v1/definitions", &json!({"source": source, "actor": "ann"})).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_changed_file_stops_its_own_starts_and_no_saga_that_runs() {
    let mut world = World::new().await;
    world.take("payment.charge", Manner::Silent);
    let slow = order(&world.exchange).replace("timeout: 500ms\n  unroutable", "timeout: 1h\n  unroutable");
    std::fs::write(world.definitions.path().join("slow.yaml"), slow.replace("saga: order", "saga: slow"))
        .expect("written");
    assert_eq!(world.orchestrator.terminate().await, Some(0));
    world.orchestrator = world.plan.start().await;
    let (status, running) = start(&world.orchestrator.api, "slow", "o-1").await;
    assert_eq!(status, 201, "{running}");
    assert_eq!(world.orchestrator.terminate().await, Some(0));

    let path = world.definitions.path().join("slow.yaml");
    let source = std::fs::read_to_string(&path).expect("the definition");
    std::fs::write(&path, source.replace("50ms", "60ms")).expect("written");
    world.orchestrator = world.plan.start().await;
    world.take("payment.charge", Manner::Succeed);
    let api = &world.orchestrator.api;
    assert_eq!(load_errors(api).await, [(json!("slow"), json!("definition_changed"))]);
    let report = readiness(api).await;
    assert_eq!((&report["definitions"], &report["load_errors"]), (&json!("incomplete"), &json!(["slow@1"])));
    let (_, definition) = api.get("/v1/definitions/slow").await;
    assert!(definition["versions"][0]["unusable"].as_str().is_some_and(|why| why.contains("version 1")));
    for body in [json!({"definition": "slow"}), json!({"definition": "slow", "version": 1})] {
        let mut body = body;
        body["input"] = json!({"orderId": "o-2", "amount": 1});
        let (status, problem) = api.post("/v1/sagas", &body).await;
        assert_eq!((status, &problem["code"]), (409, &json!("definition_changed")), "{problem}");
    }
    assert_eq!(start(api, "order", "o-2").await.0, 201, "the others work");

    let id = running["id"].as_str().expect("an id");
    let cancel = json!({"actor": "ann", "reason": "to see it continue"});
    assert_eq!(api.post(&format!("/v1/sagas/{id}/cancel"), &cancel).await.0, 200);
    let (_, saga) = api.get(&format!("/v1/sagas/{id}")).await;
    assert_eq!(saga["version"], 1, "{saga}");

    assert_eq!(world.orchestrator.terminate().await, Some(0));
    std::fs::write(&path, source).expect("written");
    world.orchestrator = world.plan.start().await;
    assert_eq!(load_errors(&world.orchestrator.api).await, []);
    assert_eq!(start(&world.orchestrator.api, "slow", "o-3").await.0, 201, "the registered source is back");
}

#[tokio::test]
async fn a_file_that_cannot_be_loaded_stops_only_itself() {
    let mut world = World::new().await;
    assert_eq!(world.orchestrator.terminate().await, Some(0));
    let write = |name: &str, text: &[u8]| {
        std::fs::write(world.definitions.path().join(name), text).expect("written");
    };
    let other = order(&world.exchange).replace("saga: order", "saga: other");
    write("latin.yaml", b"saga: latin\nversion: 1\n# caf\xe9\n");
    write("nonsense.yaml", b"saga: nonsense\nversion: 1\nsteps: [\n");
    write("steps.yaml", b"saga: steps\nversion: 1\nsteps: none of them\n");
    write("twin-1.yaml", other.replace("saga: other", "saga: twin").as_bytes());
    write("twin-2.yaml", other.replace("saga: other", "saga: twin").replace("50ms", "60ms").as_bytes());
    write("other.yaml", other.as_bytes());
    world.orchestrator = world.plan.start().await;
    let api = &world.orchestrator.api;
    let invalid = |name: &str| (json!(name), json!("invalid_definition"));
    let expected = [
        (Value::Null, json!("definition_unreadable")),
        invalid("nonsense"),
        invalid("steps"),
        invalid("twin"),
        invalid("twin"),
    ];
    assert_eq!(load_errors(api).await, expected);
    assert_eq!(readiness(api).await["load_errors"].as_array().map(Vec::len), Some(5));
    for name in ["nonsense", "steps", "twin"] {
        let (status, problem) = start(api, name, "o-1").await;
        assert_eq!((status, &problem["code"]), (409, &json!("invalid_definition")), "{problem}");
    }
    assert_eq!(start(api, "latin", "o-1").await.1["code"], "definition_not_found");
    for name in ["order", "other"] {
        assert_eq!(start(api, name, "o-1").await.0, 201, "{name}");
    }

    let source = other.replace("saga: other", "saga: twin");
    let (status, answer) = api.post("/v1/definitions", &json!({"source": source, "actor": "ann"})).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(start(api, "twin", "o-1").await.0, 201, "registered by hand");
}
