//! Children stay for as long as their parent may need them.

use super::*;

const PART: &str = "
saga: part
version: 1
steps:
  - { name: look, wait: { signal: never }, timeout: 1h, when: \"${ false }\" }
";

const WHOLE: &str = "
saga: whole
version: 1
steps:
  - { name: part, saga: part, version: 1 }
  - { name: approval, wait: { signal: go }, timeout: 1h }
";

#[tokio::test]
async fn a_child_is_kept_as_long_as_its_parent_may_compensate_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let retention = retention::Options {
        retention_period: retention::Keep::of(Duration::ZERO),
        interval: Duration::from_millis(10),
        ..options().retention
    };
    let (engine, running) = engine_with(&store, &Options { retention, ..options() }).await;
    for source in [PART, WHOLE] {
        engine.definitions.register("source.yaml", source, Time(0)).await.expect("registered");
    }
    let whole = StartRequest { definition: "whole".to_owned(), ..StartRequest::default() };
    let whole = engine.starter.start(whole).await.expect("started").id;
    let finished = Filter { definition: Some("part".to_owned()), ..Filter::default() };
    let ended = async || {
        let parts = store.sagas(&finished, 10).await.expect("sagas");
        parts.iter().any(|part| part.status == Status::Completed)
    };
    while !ended().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(ended().await, "many sweeps later it is there");

    let go = ReceivedEvent { source: EventSource::Signal("go".into()), id: None, body: json!(null) };
    engine.submitter.submit(whole, Input::Event(Arc::new(go))).await.expect("accepted");
    while !store.sagas(&Filter::default(), 10).await.expect("sagas").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.shut_down().await;
}
