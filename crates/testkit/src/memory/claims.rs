//! Claims due timers and unsent messages.

use std::sync::Arc;

use uuid::Uuid;

use super::{Reserved, Tables, Timer};
use snorri_core::{Message, SagaId, Time};
use snorri_ports::store::{Lease, OutboxId, OutboxMessage, UnsentCommand};

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

    pub(super) fn claim_unsent(&mut self, now: Time, lease: Lease, limit: u32) -> Vec<OutboxMessage> {
        let free = self.outbox.iter_mut().filter(|(_, row)| row.until <= now);
        let claimed = free.take(limit as usize).map(|(id, row)| {
            (row.until, row.holder) = (now.after(lease.duration), Some(lease.holder));
            OutboxMessage { id: *id, message: Arc::clone(&row.message) }
        });
        claimed.collect()
    }

    pub(super) fn give_back(&mut self, messages: &[OutboxId], at: Time) {
        for id in messages {
            if let Some(row) = self.outbox.get_mut(id) {
                (row.until, row.holder) = (at, None);
            }
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

    pub(super) fn unsent_commands(&self, sagas: &[SagaId]) -> Vec<UnsentCommand> {
        let command = |(id, row): (&OutboxId, &Reserved)| match &*row.message {
            Message::Command(command) if sagas.contains(&command.saga) => {
                Some(UnsentCommand { id: *id, saga: command.saga, attempt: command.attempt() })
            }
            _ => None,
        };
        self.outbox.iter().filter_map(command).collect()
    }
}
