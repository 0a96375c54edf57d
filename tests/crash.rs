//! The promise under `kill -9`: whatever is killed, every saga ends, every effect exists once or is compensated, and the outbox
//! is empty.
//!
//! `SNORRI_CRASH_SAGAS` and `SNORRI_CRASH_KILLS` set the length of the campaign.

mod support;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use snorri_core::Status;
use snorri_ports::broker::{Broker, Properties, Publication, Published};
use snorri_ports::store::{Filter, SagaRow, Store};
use snorri_store::SqlStore;
use support::orchestrator::{Orchestrator, Plan};
use support::participants::Manner;
use support::until;
use support::world::{COMMANDS, World};
use tokio::time::Instant;
use uuid::Uuid;

/// Sagas that are started together.
const START_BATCH: usize = 20;
const PATIENCE: Duration = Duration::from_secs(180);

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// The order saga with deadlines longer than a restart of everything.
fn patient_order(exchange: &str) -> String {
    support::world::order(exchange)
        .replace("timeout: 500ms\n  retry: { attempts: 2", "timeout: 5s\n  retry: { attempts: 50")
        .replace("timeout: 500ms, retry: { attempts: 3", "timeout: 5s, retry: { attempts: 50")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_done_twice() {
    let (sagas, kills) = (setting("SNORRI_CRASH_SAGAS", 2_000), setting("SNORRI_CRASH_KILLS", 20));
    let world = World::with(&COMMANDS, patient_order).await;
    for command in ["inventory.reserve", "payment.charge", "shipping.book"] {
        world.take(command, Manner::Mixed);
    }
    let World { plan, orchestrator, broker, ledger, participants, definitions: _definitions, .. } = world;

    let began = Instant::now();
    let starting = tokio::spawn(start_all(broker, plan.prefix.clone(), sagas, kills));
    let orchestrator = kill_often(&plan, orchestrator, kills).await;
    starting.await.expect("all were started");
    eprintln!("{sagas} sagas started, {kills} kills in {:?}", began.elapsed());

    let store = open(&plan).await;
    until(PATIENCE, "every saga is final", async || {
        let counts = store.counts().await.ok()?;
        let ended =
            counts.iter().filter(|count| count.status.is_final()).map(|count| count.count).sum::<u64>();
        (ended == sagas as u64).then_some(())
    })
    .await;
    until(Duration::from_secs(30), "the outbox is empty", async || {
        (store.count_unsent(1_000_000).await.ok()? == 0).then_some(())
    })
    .await;
    eprintln!("all final after {:?}", began.elapsed());

    let rows = all_sagas(&store).await;
    assert_eq!(rows.len(), sagas, "one saga for each start");
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for row in &rows {
        let effects = ["reserve", "charge", "ship"].map(|step| {
            let effect = ledger.effect(&row.id.to_string(), step);
            (effect.done, effect.compensated)
        });
        match row.status {
            Status::Completed => assert_eq!(effects, [(1, 0); 3], "completed saga {}", row.id),
            Status::Compensated => {
                let is_whole = effects[..2].iter().all(|(done, compensated)| done <= compensated)
                    && effects[2] == (0, 0);
                assert!(is_whole, "compensated saga {}: {effects:?}", row.id);
            }
            other => panic!("saga {} ended as {other:?}", row.id),
        }
        *counts.entry(row.status.as_str()).or_default() += 1;
    }
    eprintln!("{counts:?}");
    assert!(counts.len() == 2, "some complete and some are compensated: {counts:?}");
    assert_eq!(orchestrator.terminate().await, Some(0));
    participants.stop().await;
}

/// Starts all sagas at a steady pace, over AMQP, each until the broker has confirmed it.
async fn start_all(broker: Arc<dyn Broker>, prefix: String, sagas: usize, kills: usize) {
    let pause =
        Duration::from_millis(u64::try_from(kills * 1_300 * START_BATCH / sagas).expect("a short pause"));
    for batch in (0..sagas).collect::<Vec<_>>().chunks(START_BATCH) {
        let mut waiting: Vec<_> = batch.iter().map(|number| start(&prefix, *number)).collect();
        while !waiting.is_empty() {
            let results = broker.publish(waiting.clone()).await;
            let mut results = results.into_iter();
            waiting.retain(|_| results.next() != Some(Published::Confirmed));
        }
        tokio::time::sleep(pause).await;
    }
}

fn start(prefix: &str, number: usize) -> Publication {
    Publication {
        exchange: String::new(),
        routing_key: format!("{prefix}.starts"),
        properties: Properties { kind: Some("order".to_owned()), ..Properties::default() },
        body: serde_json::to_vec(&json!({"orderId": format!("o-{number}"), "amount": 1})).expect("JSON"),
    }
}

/// Kills the orchestrator again and again; and once each, in between, the broker and the database.
async fn kill_often(plan: &Plan, mut orchestrator: Orchestrator, kills: usize) -> Orchestrator {
    for round in 0..kills {
        // The moment differs in every round and every run.
        let moment = 200 + u64::try_from(Uuid::now_v7().as_u128() % 1_200).expect("a small number");
        tokio::time::sleep(Duration::from_millis(moment)).await;
        if round == kills / 3 {
            support::service("restart", "broker").await;
        }
        if round == 2 * kills / 3 {
            support::service("restart", "database").await;
        }
        orchestrator.kill().await;
        orchestrator = plan.start().await;
    }
    orchestrator
}

async fn open(plan: &Plan) -> SqlStore {
    SqlStore::connect(&snorri_store::Options::new(plan.database_url.clone()))
        .await
        .expect("PostgreSQL answers")
}

async fn all_sagas(store: &SqlStore) -> Vec<SagaRow> {
    let mut all = Vec::<SagaRow>::new();
    loop {
        let after = all.last().map(|row| (row.started_at, row.id));
        let page = store.sagas(&Filter { after, ..Filter::default() }, 500).await.expect("a page");
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}
