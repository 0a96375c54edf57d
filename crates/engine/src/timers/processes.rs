//! The processes that are alive. Each writes a sign of life several times a second; the rows that a dead one had reserved are
//! released at once, before its leases expire.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::outbox::backlog::Freed;
use crate::supervision::ticks::Ticks;
use snorri_core::Time;
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, Store};

/// How often each process writes that it is alive, and reads which others are.
const INTERVAL: Duration = Duration::from_millis(350);
/// The readings in a row without a sign of life after which a process is dead.
const MISSED: u32 = 4;

/// This process among those that share a store.
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) freed: Arc<Freed>,
    pub(crate) process: Uuid,
}

impl Processes {
    /// Writes and reads until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = Ticks::new(INTERVAL, stop);
        let mut observed = Observed::default();
        while ticks.next().await {
            if let Err(error) = self.observe(&mut observed).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "cannot look for dead processes");
                // While the database takes no writes, no process can show that it is alive.
                observed = Observed::default();
            }
        }
    }

    async fn observe(&self, observed: &mut Observed) -> Result<(), store::Error> {
        self.store.process_seen(self.process, self.clock.now()).await?;
        for (process, seen_at) in observed.read(self.process, self.store.processes().await?) {
            tracing::info!(%process, "a process has died: what it had reserved is taken over");
            // Up to now, so that rows reserved until then can be claimed. The process is removed unless it wrote again.
            let now = self.clock.now().max(seen_at);
            self.store.release(process, now).await?;
            self.freed.notify();
        }
        Ok(())
    }
}

/// The other processes, and their last readings.
///
/// No time is compared with that of another clock: a process is dead when its row does not change while this process writes and
/// reads several times.
#[derive(Debug, Default)]
struct Observed(HashMap<Uuid, Seen>);

#[derive(Debug)]
struct Seen {
    at: Time,
    missed: u32,
}

impl Observed {
    /// Records a reading, and returns the processes that are dead.
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
