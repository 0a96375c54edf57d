//! Claims due timers and unsent messages.

use uuid::Uuid;

use super::{Reserved, Tables, Timer};
use snorri_core::{SagaId, Time};
use snorri_ports::store::{Lease, OutboxId, OutboxRow};

impl Tables {
    pub(super) fn claim_due(&mut self, now: Time, lease: Lease, limit: u32) -> Vec<SagaId> {
        let due = self.timers.iter().filter(|(_, timer)| timer.due <= now);
        let mut due: Vec<(Time, SagaId)> = due.map(|(saga, timer)| (timer.due, *saga)).collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        let claimed: Vec<SagaId> = due.into_iter().map(|(_, saga)| saga).collect();
        for saga in &claimed {
            let timer = Timer { due: now.after(lease.duration), holder: Some(lease.holder) };
            self.timers.insert(*saga, timer);
        }
        claimed
    }

    pub(super) fn claim_unsent(&mut self, now: Time, lease: Lease, limit: u32) -> Vec<OutboxRow> {
        let free = self.outbox.iter_mut().filter(|(_, row)| row.until <= now);
        let claimed = free.take(limit as usize).map(|(id, row)| {
            (row.until, row.holder) = (now.after(lease.duration), Some(lease.holder));
            OutboxRow { id: *id, messages: row.messages.clone() }
        });
        claimed.collect()
    }

    pub(super) fn give_back(&mut self, rows: &[OutboxRow], at: Time) {
        for OutboxRow { id, messages } in rows {
            let row = Reserved { until: at, holder: None, messages: messages.clone() };
            assert!(self.outbox.insert(*id, row).is_none(), "a row is given back twice");
        }
    }

    pub(super) fn release(&mut self, process: Uuid, now: Time) {
        let held = |holder: Option<Uuid>| holder == Some(process);
        for row in self.outbox.values_mut().filter(|row| held(row.holder)) {
            (row.until, row.holder) = (now, None);
        }
        for timer in self.timers.values_mut().filter(|timer| held(timer.holder)) {
            *timer = Timer { due: now, holder: None };
        }
        if let Some(row) = self.processes.get_mut(&process).filter(|row| row.seen_at <= now) {
            row.ended_at = row.ended_at.or(Some(now));
        }
    }

    pub(super) fn unsent_of(&self, sagas: &[SagaId]) -> Vec<OutboxRow> {
        let of_sagas = |(id, row): (&OutboxId, &Reserved)| {
            let messages = row.messages.iter().filter(|message| sagas.contains(&message.saga));
            let messages: Vec<_> = messages.copied().collect();
            (!messages.is_empty()).then_some(OutboxRow { id: *id, messages })
        };
        self.outbox.iter().filter_map(of_sagas).collect()
    }
}
