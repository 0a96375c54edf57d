//! Long computations do not block the runtime, and too long ones are refused.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::*;

/// Whether another task of the runtime, which has one thread here, can run during `work`. Work on another thread may end at
/// once, so this is repeated.
async fn others_run_during<T, F: Future<Output = T>>(work: impl Fn() -> F) -> (bool, T) {
    let ticks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&ticks);
    let ticker = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let mut result = work().await;
    for _ in 0..100 {
        if ticks.load(Ordering::Relaxed) > 0 {
            break;
        }
        result = work().await;
    }
    ticker.abort();
    (ticks.load(Ordering::Relaxed) > 0, result)
}

#[tokio::test]
async fn others_continue_while_definitions_are_compiled_and_checked() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let definitions = Definitions::new(Arc::clone(&store));
    let (files, broken) = (BTreeMap::new(), ORDER.replace("saga: order", "saga: [order]"));
    let (run, checked) = others_run_during(|| definitions.check("order.yaml", ORDER, &files)).await;
    assert!(run && checked.is_ok());
    let (run, checked) = others_run_during(|| definitions.check("order.yaml", &broken, &files)).await;
    assert!(run && checked.is_err());
    let (run, registered) = others_run_during(|| definitions.register("order.yaml", ORDER, Time(0))).await;
    assert!(run && registered.is_ok());
    // Another process compiles it once it needs it.
    let (run, found) =
        others_run_during(|| async { Definitions::new(Arc::clone(&store)).find("order", Some(1)).await })
            .await;
    assert!(run && found.is_ok());
}

#[tokio::test]
async fn only_so_many_definitions_are_checked_at_once() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let definitions = Definitions::new(store);
    let files = BTreeMap::new();
    let checks = (0..40).map(|_| definitions.check("order.yaml", ORDER, &files));
    let checked = futures_util::future::join_all(checks).await;
    let taken = checked.iter().filter(|checked| checked.is_ok()).count();
    let busy =
        checked.iter().filter(|checked| checked.as_ref().is_err_and(|error| error.code() == "too_busy"));
    // Two run and sixteen wait. On a busy machine some of these wait for too long, and a faster check makes room for others.
    let busy = busy.count();
    assert!(taken >= 2 && busy > 0 && taken + busy == 40, "{taken} were taken, {busy} were not");
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
async fn a_start_that_takes_too_long_is_refused_and_delays_no_other() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let (engine, _running) = engine(&store).await;
    engine.definitions.register("large.yaml", LARGE, Time(0)).await.expect("registered");
    let request = |input: Value| StartRequest { definition: "large".to_owned(), input, ..start("o-1") };
    let list = |from: usize, count: usize| (from..from + count).collect::<Vec<_>>();

    let input = json!({"left": list(0, 1_000), "right": list(1_000, 1_000)});
    let (run, refused) = others_run_during(|| engine.starter.start(request(input.clone()))).await;
    let error = refused.expect_err("a join of two long lists");
    assert_eq!(error.code(), "no_business_key");
    assert!(run && error.to_string().contains("takes more than 200000 steps"), "{error}");

    let input = json!({"left": [1], "right": [1], "reference": "ab".repeat(50_000)});
    let (run, refused) = others_run_during(|| engine.starter.start(request(input.clone()))).await;
    let error = refused.expect_err("a long text for a long pattern");
    assert_eq!(error.code(), "invalid_input");
    assert!(run && error.to_string().contains("takes more than 1000000 steps"), "{error}");

    let input =
        json!({"left": list(0, 50), "right": list(49, 50), "reference": format!("ab{}", "c".repeat(40))});
    assert_eq!(engine.starter.start(request(input)).await.expect("started").key.as_deref(), Some("1"));
}
