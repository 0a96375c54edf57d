//! The processes that are alive. Each writes a sign of life several times a second; the rows that a dead one had reserved are
//! released at once, before its leases expire, and its reply queue is inherited by one of the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::outbox::backlog::Freed;
use crate::supervision::ticks::Ticks;
use snorri_core::Time;
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, ProcessRow, Store};

/// How often each process writes that it is alive, and reads which others are.
const INTERVAL: Duration = Duration::from_millis(350);
/// The readings in a row without a sign of life after which a process is dead.
const MISSED: u32 = 4;
/// So the death of a process is found within two seconds.
const _: () = assert!(INTERVAL.as_millis() * (1 + MISSED as u128) < 2_000);

/// This process among those that share a store.
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) freed: Arc<Freed>,
    pub(crate) process: Uuid,
    /// Those that this process inherits from.
    pub(crate) inherited: watch::Sender<Inherited>,
}

/// The processes that have ended and that a process inherits from, with the time of their end.
pub(crate) type Inherited = Vec<(Uuid, Time)>;

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
        let mut processes = self.store.processes().await?;
        let alive = processes.iter().filter(|process| process.ended_at.is_none());
        let alive = alive.map(|process| (process.id, process.seen_at)).collect();
        for (dead, seen_at) in observed.read(self.process, alive) {
            tracing::info!(process = %dead, "a process has died: what it had reserved is taken over");
            // Up to now, so that rows reserved until then can be claimed. The process has ended unless it wrote again.
            let now = self.clock.now().max(seen_at);
            self.store.release(dead, now).await?;
            self.freed.notify();
            if let Some(row) = processes.iter_mut().find(|process| process.id == dead) {
                row.ended_at = Some(now);
            }
        }
        let inherited = inherited(self.process, &processes);
        self.inherited.send_if_modified(|before| {
            let is_new = *before != inherited;
            *before = inherited;
            is_new
        });
        Ok(())
    }
}

/// Those of the ended processes that `me` inherits from. The heir of each is the first that started after it and has not ended,
/// or else the oldest. If two think that they are it, both handle what is left, which is harmless.
fn inherited(me: Uuid, processes: &[ProcessRow]) -> Inherited {
    let alive = || processes.iter().filter(|process| process.ended_at.is_none()).map(|process| process.id);
    let heir = |ended: Uuid| alive().find(|id| *id > ended).or_else(|| alive().next());
    let ended = processes.iter().filter_map(|process| Some((process.id, process.ended_at?)));
    ended.filter(|(id, _)| heir(*id) == Some(me)).collect()
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
    fn the_heir_is_the_next_process_that_has_not_ended() {
        let [first, second, third, fourth] = std::array::from_fn(|_| Uuid::now_v7());
        let row =
            |id, ended_at: Option<i64>| ProcessRow { id, seen_at: Time(0), ended_at: ended_at.map(Time) };
        let processes = [row(first, Some(1)), row(second, None), row(third, Some(2)), row(fourth, None)];
        assert_eq!(inherited(second, &processes), [(first, Time(1))]);
        assert_eq!(inherited(fourth, &processes), [(third, Time(2))]);
        let processes = [row(first, None), row(second, None), row(third, Some(2)), row(fourth, Some(3))];
        assert_eq!(inherited(first, &processes), [(third, Time(2)), (fourth, Time(3))]);
        assert_eq!(inherited(second, &processes), []);
    }

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
