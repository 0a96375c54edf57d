//! Several processes on one database: clocks that are wrong, a process that dies, a broker that is unavailable for all.
//!
//! Leases last a minute, so that nothing that waits for one happens in time.

use futures_util::future::join_all;

use crate::support::faults::faketime;
use crate::support::orchestrator::Orchestrator;
use crate::support::proxy::Proxy;
use crate::*;

/// Longer than each wait of these tests.
const LEASES: [(&str, &str); 2] =
    [("SNORRI__ENGINE__OUTBOX_LEASE", "60s"), ("SNORRI__ENGINE__TIMER_LEASE", "60s")];
const WITHIN: Duration = Duration::from_secs(20);

/// With timeouts of 10 s, so that a busy machine causes none.
async fn world() -> World {
    World::with(&COMMANDS, |exchange| support::world::order(exchange).replace("500ms", "10s")).await
}

/// A plan for one more process like that of the world.
fn plan(world: &World) -> Plan {
    let Plan { amqp_url, database_url, prefix, definitions, .. } = &world.plan;
    let settings = LEASES.map(|(name, value)| (name, value.to_owned())).into();
    Plan { settings, ..Plan::new(amqp_url, database_url, prefix, definitions) }
}

/// Starts orders at a process, all at once, and returns the ids of those that were accepted.
async fn start_all(orchestrator: &Orchestrator, name: &str, count: usize) -> Vec<String> {
    let starts = (0..count)
        .map(async |number| orchestrator.api.start("order", &order(&format!("{name}-{number}"))).await);
    join_all(starts).await
}

async fn wait_for_all(orchestrator: &Orchestrator, ids: &[String]) {
    until(WITHIN, "all are completed", async || {
        let (_, answer) = orchestrator.api.get("/v1/sagas?status=completed&limit=500").await;
        let completed = answer["sagas"].as_array()?;
        ids.iter().all(|id| completed.iter().any(|saga| saga["id"] == **id)).then_some(())
    })
    .await;
}

/// Case 13: the clock of the database decides, whatever the clocks of the processes show.
#[tokio::test]
async fn wrong_clocks_of_processes_change_nothing() {
    let world = world().await;
    let mut processes = Vec::new();
    for time in ["+20s", "-20s", "+1h", "-1h", "+400d"] {
        let run_by = [vec!["env"], faketime(time)].concat();
        processes.push(Plan { run_by, ..plan(&world) }.spawn());
    }
    for process in &processes {
        until(Duration::from_secs(30), "it answers", async || {
            process
                .api
                .get_if_up("/readyz")
                .await
                .filter(|(_, report)| report["database"] == "ok")
                .map(|_| ())
        })
        .await;
    }
    // So that the processes look for timers while replies are awaited.
    world.take("payment.charge", Manner::Late(Duration::from_millis(1_500)));
    let mut ids = Vec::new();
    for (number, process) in processes.iter().chain([&world.orchestrator]).enumerate() {
        ids.extend(start_all(process, &format!("process-{number}"), 5).await);
    }
    wait_for_all(&world.orchestrator, &ids).await;
    for id in &ids {
        let story = story(&world.orchestrator.api.saga(id).await);
        assert_eq!(story.len(), 8, "nothing was done twice: {story:#?}");
        assert_eq!(world.effects(id), [(1, 0), (1, 0), (1, 0)]);
    }
    let (status, report) = processes[2].api.get("/readyz").await;
    assert_eq!((status, &report["clock"]), (503, &json!("unavailable")), "{report}");
    let (status, report) = processes[0].api.get("/readyz").await;
    assert_eq!((status, &report["clock"]), (200, &json!("ok")), "{report}");
}

#[tokio::test]
async fn what_a_dead_process_had_reserved_is_taken_over_at_once() {
    let world = world().await;
    let dies = plan(&world).start().await;
    let ids = start_all(&dies, "o", 300).await;
    dies.kill().await;
    wait_for_all(&world.orchestrator, &ids).await;
}

#[tokio::test]
async fn what_waited_for_the_broker_is_sent_when_it_is_back() {
    let world = world().await;
    let proxy = Proxy::to(&world.plan.amqp_url).await;
    let orchestrator = Plan { amqp_url: proxy.url.clone(), ..plan(&world) }.start().await;
    let World { orchestrator: other, participants: _participants, definitions: _definitions, .. } = world;
    assert_eq!(other.terminate().await, Some(0));

    let mut ids = start_all(&orchestrator, "in-flight", 100).await;
    proxy.cut();
    ids.extend(start_all(&orchestrator, "away", 100).await);
    until(WITHIN, "not ready", async || (!orchestrator.api.is_ready().await).then_some(())).await;
    proxy.mend();
    wait_for_all(&orchestrator, &ids).await;
}
