//! Which processes are alive. Each writes so several times a second; what a dead one had reserved is given back at once, so that nobody
//! waits for its leases to pass.

use std::collections::HashMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Engine;
use super::timers::Ticks;
use crate::saga::Time;
use crate::store;

/// How often each process writes that it is alive, and reads which others are.
const INTERVAL: Duration = Duration::from_millis(350);
/// The readings in a row without a sign of life after which a process is dead.
const MISSED: u32 = 4;

/// Writes and reads until `stop`.
pub(super) async fn run(engine: Engine, stop: CancellationToken) {
    let mut ticks = Ticks::new(INTERVAL, stop);
    let mut observed = Observed::default();
    while ticks.next().await {
        if let Err(error) = observe(&engine, &mut observed).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot look for dead processes");
            // While the database takes nothing, no process shows that it is alive.
            observed = Observed::default();
        }
    }
}

async fn observe(engine: &Engine, observed: &mut Observed) -> Result<(), store::Error> {
    let store = engine.store();
    store.process_seen(engine.process(), engine.clock().now()).await?;
    for (process, seen_at) in observed.read(engine.process(), store.processes().await?) {
        tracing::info!(%process, "a process has died: what it had reserved is taken over");
        // Up to now, so that what is reserved until then can be claimed. The process is forgotten unless it wrote again.
        let now = engine.clock().now().max(seen_at);
        store.release(process, now).await?;
        engine.freed().notify();
    }
    Ok(())
}

/// The other processes, and what was last read of them.
///
/// No time is compared with that of another clock: a process is dead when its row does not change while this process writes and reads
/// several times.
#[derive(Debug, Default)]
struct Observed(HashMap<Uuid, Seen>);

#[derive(Debug)]
struct Seen {
    at: Time,
    missed: u32,
}

impl Observed {
    /// Takes in a reading, and returns the processes that are dead.
    fn read(&mut self, me: Uuid, processes: Vec<(Uuid, Time)>) -> Vec<(Uuid, Time)> {
        let mut before = std::mem::take(&mut self.0);
        let mut dead = Vec::new();
        for (process, at) in processes.into_iter().filter(|(process, _)| *process != me) {
            let missed = match before.remove(&process) {
                Some(seen) if seen.at == at => seen.missed + 1,
                _ => 0,
            };
            if missed >= MISSED {
                dead.push((process, at));
            }
            self.0.insert(process, Seen { at, missed });
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_dead_after_readings_without_a_change() {
        let [me, alive, dies] = std::array::from_fn(|_| Uuid::now_v7());
        let mut observed = Observed::default();
        for reading in 0..=i64::from(MISSED) {
            let dead = observed.read(me, vec![(me, Time(0)), (alive, Time(reading)), (dies, Time(7))]);
            let expected = if reading == i64::from(MISSED) { vec![(dies, Time(7))] } else { vec![] };
            assert_eq!(dead, expected, "reading {reading}");
        }
        assert_eq!(observed.read(me, vec![(me, Time(0)), (dies, Time(8))]), [], "it writes again");
    }
}
