//! One run: everything that follows from a seed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use snorri_definition::Compiled;
use tokio::time::sleep;

use crate::clients::Clients;
use crate::fate::Fate;
use crate::participants;
use crate::replica::Replica;
use crate::story::Story;
use crate::world::World;

/// How long the faults last.
const TROUBLE: Duration = Duration::from_secs(14);

/// The plan of a run.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub seed: u64,
    /// Misfortunes that are left out.
    pub spared: BTreeSet<String>,
    /// Whether to record the story.
    pub is_recorded: bool,
}

/// The result of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Result {
    pub violations: Vec<String>,
    pub misfortunes: Vec<String>,
    pub events: Vec<String>,
}

/// Makes a run, on a runtime of its own whose time is not the machine's.
pub fn run(plan: &Plan, compiled: &[Arc<Compiled>]) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(live(plan, compiled.to_vec()))
}

async fn live(plan: &Plan, compiled: Vec<Arc<Compiled>>) -> Result {
    let story = Arc::new(Story::new(plan.is_recorded));
    let fate = Arc::new(Fate::new(plan.seed, plan.spared.clone(), Arc::clone(&story)));
    story.record(|| format!("seed {}: {:?}", plan.seed, fate.climate()));
    let world = World::new(Arc::clone(&fate), Arc::clone(&story), compiled).await;
    participants::serve(&world).await;
    let count = fate.rng("replicas").usize(1..=3);
    let replicas: Vec<_> = (1..=count).map(Replica::new).collect();
    let running: Vec<_> =
        replicas.iter().map(|replica| tokio::spawn(Arc::clone(replica).run(Arc::clone(&world)))).collect();
    let clients = Clients { world: Arc::clone(&world), replicas: replicas.clone() };
    let wanted = clients.begin();
    let interfering = clients.clone();
    tokio::spawn(async move { interfering.interfere().await });
    sleep(TROUBLE).await;
    fate.calm();
    world.poisoned.clear();
    clients.end(&wanted).await;
    replicas.iter().for_each(|replica| replica.stop());
    for task in running {
        if task.await.is_err() {
            world.watch.violation(|| "a replica's keeper has panicked".to_owned());
        }
    }
    Result { violations: world.watch.violations(), misfortunes: fate.struck(), events: story.events() }
}
