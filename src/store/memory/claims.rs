//! Handing out due wake-ups and unsent messages.

use std::sync::Arc;
use std::time::Duration;

use super::{Reserved, Tables};
use crate::saga::{Message, SagaId, Time};
use crate::store::{OutboxId, Unsent, UnsentCommand};

impl Tables {
    pub(super) fn claim_due(&mut self, now: Time, lease: Duration, limit: u32) -> Vec<SagaId> {
        let due = self.timers.iter().filter(|(_, due)| **due <= now);
        let mut due: Vec<(Time, SagaId)> = due.map(|(saga, due)| (*due, *saga)).collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        let claimed: Vec<SagaId> = due.into_iter().map(|(_, saga)| saga).collect();
        for saga in &claimed {
            self.timers.insert(*saga, now.after(lease));
        }
        claimed
    }

    pub(super) fn claim_unsent(&mut self, now: Time, lease: Duration, limit: u32) -> Vec<Unsent> {
        let free = self.outbox.iter_mut().filter(|(_, row)| row.until <= now);
        let claimed = free.take(limit as usize).map(|(id, row)| {
            row.until = now.after(lease);
            Unsent { id: *id, message: Arc::clone(&row.message) }
        });
        claimed.collect()
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
