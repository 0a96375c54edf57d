//! What takes long does not hold up the runtime, and what takes too long is refused.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::*;

/// Counts how often another task of the runtime, which has one thread here, could run while `work` did.
async fn ticks_during<T>(work: impl Future<Output = T>) -> (u64, T) {
    let ticks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&ticks);
    let ticker = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let before = ticks.load(Ordering::Relaxed);
    let result = work.await;
    let ticked = ticks.load(Ordering::Relaxed) - before;
    ticker.abort();
    (ticked, result)
}

#[tokio::test]
async fn others_go_on_while_definitions_are_compiled_and_checked() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let definitions = Definitions::new(Arc::clone(&store));
    let (files, broken) = (BTreeMap::new(), ORDER.replace("saga: order", "saga: [order]"));
    let (ticks, checked) = ticks_during(definitions.check("order.yaml", ORDER, &files)).await;
    assert!(ticks > 0 && checked.is_ok());
    let (ticks, checked) = ticks_during(definitions.check("order.yaml", &broken, &files)).await;
    assert!(ticks > 0 && checked.is_err());
    let (ticks, registered) = ticks_during(definitions.register("order.yaml", ORDER, Time(0))).await;
    assert!(ticks > 0 && registered.is_ok());
    // Another process compiles it once it needs it.
    let others = Definitions::new(store);
    let (ticks, found) =
        ticks_during(others.find("order", Some(registered.expect("it").definition.version))).await;
    assert!(ticks > 0 && found.is_ok());
    let (ticks, _) = ticks_during(others.load()).await;
    assert_eq!(ticks, 0, "there is nothing to compile any more");
}

#[tokio::test]
async fn only_so_many_definitions_are_checked_at_once() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let definitions = Definitions::new(store);
    let files = BTreeMap::new();
    let checks = (0..40).map(|_| definitions.check("order.yaml", ORDER, &files));
    let checked = futures_util::future::join_all(checks).await;
    let busy =
        checked.iter().filter(|checked| checked.as_ref().is_err_and(|error| error.code() == "too_busy"));
    // Two run and sixteen wait; what is done by then makes room for others.
    assert!((1..=22).contains(&busy.count()));
    assert!(checked.iter().filter(|checked| checked.is_ok()).count() >= 18);
}

const LARGE: &str = r#"
saga: large
version: 1
input:
  type: object
  properties:
    reference: { type: string, pattern: "^(a|b)*c{40}$" }
key: ${ input.left.filter(l, input.right.exists(r, r == l)).size() }
defaults: { exchange: shop.commands }
steps:
  - name: reserve
    command: inventory.reserve
    pivot: true
"#;

#[tokio::test]
async fn a_start_that_takes_too_long_is_refused_and_holds_up_nobody() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (engine, running) = engine(&store).await;
    engine.definitions().register("large.yaml", LARGE, Time(0)).await.expect("registered");
    let request = |input: Value| StartRequest { definition: "large".to_owned(), input, ..start("o-1") };
    let list = |from: usize, count: usize| (from..from + count).collect::<Vec<_>>();

    let input = json!({"left": list(0, 1_000), "right": list(1_000, 1_000)});
    let (ticks, refused) = ticks_during(engine.start(request(input))).await;
    let error = refused.expect_err("a join of two long lists");
    assert_eq!(error.code(), "no_business_key");
    assert!(ticks > 0 && error.to_string().contains("takes more than 200000 steps"), "{error}");

    let input = json!({"left": [1], "right": [1], "reference": "ab".repeat(50_000)});
    let (ticks, refused) = ticks_during(engine.start(request(input))).await;
    let error = refused.expect_err("a long text for a long pattern");
    assert_eq!(error.code(), "invalid_input");
    assert!(ticks > 0 && error.to_string().contains("takes more than 1000000 steps"), "{error}");

    let input =
        json!({"left": list(0, 50), "right": list(49, 50), "reference": format!("ab{}", "c".repeat(40))});
    assert_eq!(engine.start(request(input)).await.expect("started").key.as_deref(), Some("1"));
    running.shut_down().await;
}
