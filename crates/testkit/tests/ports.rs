//! The effect of each fault on a call, on the ports in memory.

use std::sync::Arc;
use std::time::Duration;

use snorri_broker::local::{self, LocalBroker};
use snorri_core::journal::Cause;
use snorri_core::{Entry, SagaId, Time};
use snorri_ports::broker::{Broker, Publication, Published, QueueDeclaration, Topology};
use snorri_ports::store::{Appended, Batch, Error, Store};
use testkit::MemoryStore;
use testkit::{
    Chance, Fault, Faults, FaultyBroker, FaultyStore, Odds, Planned, Poisoned, Process, Script, Seeded,
    Unobserved,
};
use tokio::time::{Instant, timeout};

struct Bed {
    process: Arc<Process>,
    memory: Arc<MemoryStore>,
    store: FaultyStore,
    poisoned: Arc<Poisoned>,
}

fn bed(faults: impl Faults) -> Bed {
    let process = Process::new("p", Arc::new(faults), Arc::new(Unobserved));
    let (memory, poisoned) = (Arc::new(MemoryStore::new()), Arc::new(Poisoned::default()));
    let store = FaultyStore::new(memory.clone(), process.clone(), poisoned.clone());
    Bed { process, memory, store, poisoned }
}

fn script(method: &'static str, number: u64, fault: Fault) -> Script {
    Script(vec![Planned { method, number, fault }])
}

fn saga(key: &str) -> SagaId {
    SagaId::of_key("order", key)
}

fn batch(keys: &[&str]) -> Batch {
    let entry = || Entry { at: Time(0), cause: Cause::TimerFired, facts: Vec::new() };
    let entries =
        keys.iter().map(|key| Appended { saga: saga(key), started_at: Time(0), seq: 1, entry: entry() });
    Batch { entries: entries.collect(), ..Batch::default() }
}

async fn is_stored(store: &MemoryStore, key: &str) -> bool {
    store.load(&[saga(key)]).await.expect("loaded").journals.contains_key(&saga(key))
}

#[tokio::test(start_paused = true)]
async fn a_call_fails_before_or_after_it_is_done() {
    for (fault, is_done) in [(Fault::Fail, false), (Fault::FailAfter, true), (Fault::None, true)] {
        let bed = bed(script("commit", 1, fault));
        let committed = bed.store.commit(batch(&["a"])).await;
        assert_eq!(matches!(committed, Err(Error::Unavailable(_))), fault != Fault::None, "{fault:?}");
        assert_eq!(is_stored(&bed.memory, "a").await, is_done, "{fault:?}");
        bed.store.commit(batch(&["b"])).await.expect("only the first call fails");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_hangs_for_a_time_and_fails() {
    let bed = bed(script("check_store", 1, Fault::Hang(Duration::from_secs(3))));
    let began = Instant::now();
    assert!(bed.store.check().await.is_err());
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_fails_every_call_until_it_is_back() {
    let bed = bed(script("commit", 1, Fault::LoseConnection(Duration::from_secs(2))));
    assert!(bed.store.commit(batch(&["a"])).await.is_err());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(bed.store.check().await.is_err());
    tokio::time::advance(Duration::from_secs(1)).await;
    bed.store.check().await.expect("it is back");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_died_does_nothing_more() {
    for (fault, is_done) in [(Fault::Die, false), (Fault::DieAfter, true)] {
        let bed = bed(script("commit", 1, fault));
        let committed = timeout(Duration::from_secs(60), bed.store.commit(batch(&["a"]))).await;
        assert!(committed.is_err() && bed.process.is_dead(), "it never hears of it");
        assert_eq!(is_stored(&bed.memory, "a").await, is_done, "{fault:?}");
        assert!(timeout(Duration::from_secs(60), bed.store.check()).await.is_err(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_saga_can_be_neither_read_nor_written_and_others_can() {
    let bed = bed(Script::default());
    bed.store.commit(batch(&["a", "b"])).await.expect("committed");
    bed.poisoned.insert(saga("a"));
    let loaded = bed.store.load(&[saga("a"), saga("b")]).await.expect("loaded");
    assert!(loaded.unreadable.contains_key(&saga("a")) && loaded.journals.contains_key(&saga("b")));
    bed.poisoned.insert(saga("c"));
    assert!(matches!(bed.store.commit(batch(&["c"])).await, Err(Error::Invalid(_))));
    bed.store.commit(batch(&["d"])).await.expect("committed");
}

#[tokio::test(start_paused = true)]
async fn a_broker_loses_answers_refuses_and_gives_back_what_is_not_settled() {
    let inner = Arc::new(LocalBroker::new(local::Options::default()));
    let queue = QueueDeclaration { name: "q".to_owned(), bindings: Vec::new(), dead_letters: None };
    inner.declare(&Topology { exchanges: Vec::new(), queues: vec![queue] }).await.expect("declared");
    let faults = Script(vec![
        Planned { method: "publish", number: 1, fault: Fault::FailAfter },
        Planned { method: "publish", number: 2, fault: Fault::Refuse },
    ]);
    let process = Process::new("p", Arc::new(faults), Arc::new(Unobserved));
    let broker = FaultyBroker::new(inner.clone(), process.clone());
    let message = || vec![Publication { routing_key: "q".to_owned(), ..Publication::default() }];
    for (expected, depth) in [(Published::Unknown, 1), (Published::Refused, 1), (Published::Confirmed, 2)] {
        assert_eq!(broker.publish(message()).await, [expected]);
        assert_eq!(inner.depth("q").await.expect("a depth"), depth);
    }
    let availability = broker.availability();
    process.disconnect(testkit::Port::Broker, Duration::from_secs(1));
    assert!(!*availability.borrow(), "known at once");
    tokio::time::sleep(Duration::from_millis(1_001)).await;
    assert!(*availability.borrow() && broker.connections() == 2);
}

#[test]
fn a_seed_gives_the_same_faults_each_time_and_about_as_many_as_it_should() {
    let seeded = Seeded { chance: Chance::new(7), odds: Odds { fail: 1_000, ..Odds::default() } };
    let call = |number| testkit::Call { process: "p", port: testkit::Port::Store, method: "commit", number };
    let faults: Vec<Fault> = (0..10_000).map(|number| seeded.fault(&call(number))).collect();
    assert_eq!(faults, (0..10_000).map(|number| seeded.fault(&call(number))).collect::<Vec<_>>());
    let failed = faults.iter().filter(|fault| **fault == Fault::Fail).count();
    assert!((900..1_100).contains(&failed), "{failed} of 10,000");
}
