//! Writes a batch.

use std::collections::HashSet;
use std::hash::Hash;

use super::{Reserved, Tables, Timer};
use snorri_core::Time;
use snorri_ports::store::{Batch, ChangedSaga, OutboxRow, SagaRow};

impl Tables {
    /// Whether a batch would start an existing saga or append an existing entry.
    pub(super) fn conflicts(&self, batch: &Batch) -> bool {
        let mut keys = HashSet::new();
        let mut taken = |key| self.journal.contains_key(&key) || !keys.insert(key);
        batch.entries.iter().any(|appended| taken((appended.saga, appended.seq)))
            || batch.sagas.iter().any(|saga| saga.is_new && self.sagas.contains_key(&saga.row.id))
    }

    /// # Panics
    ///
    /// If a database would refuse the batch, so that a simulation finds the origin of such batches.
    pub(super) fn write(&mut self, batch: Batch) {
        assert!(all_differ(batch.sagas.iter().map(|saga| saga.row.id)), "a saga has two rows");
        assert!(all_differ(batch.incidents.iter().map(|open| open.saga)), "a saga has incidents twice");
        assert!(all_differ(batch.attributes.iter().map(|of| of.saga)), "a saga has attributes twice");
        let queued = batch.outbox.iter().map(|row| row.id);
        let sent = batch.sent.iter().copied().collect::<HashSet<_>>();
        assert!(all_differ(queued.chain(sent)), "a row is queued twice, or sent by the batch that queues it");
        let (until, holder) = (batch.outbox_reserved_until, Some(batch.outbox_holder));
        for appended in batch.entries {
            self.journal.insert((appended.saga, appended.seq), appended.entry);
        }
        for ChangedSaga { row, timer, .. } in batch.sagas {
            self.write_saga(&row, timer);
        }
        for OutboxRow { id, messages } in batch.outbox {
            assert!(
                (1..=OutboxRow::MAX_MESSAGES).contains(&messages.len()),
                "a row has too many messages, or none"
            );
            self.outbox.insert(id, Reserved { until, holder, messages });
        }
        for id in batch.sent {
            self.outbox.remove(&id);
        }
        self.incidents.extend(batch.incidents.into_iter().map(|open| (open.saga, open.codes)));
        self.attributes.extend(batch.attributes.into_iter().map(|of| (of.saga, of.values)));
        for letter in batch.dead_letters {
            self.dead_letters.entry(letter.id).or_insert(letter);
        }
        for id in batch.buffered_removed {
            self.buffered.remove(&id);
        }
        for (id, at) in batch.letters_resolved {
            if let Some(letter) = self.dead_letters.get_mut(&id) {
                letter.resolved_at.get_or_insert(at);
            }
        }
        self.audit.extend(batch.audit);
    }

    fn write_saga(&mut self, saga: &SagaRow, timer: Option<Time>) {
        match timer {
            Some(due) => self.timers.insert(saga.id, Timer { due, holder: None }),
            None => self.timers.remove(&saga.id),
        };
        let row = self.sagas.entry(saga.id).or_insert_with(|| saga.clone());
        if (row.version, row.status, row.paused) != (saga.version, saga.status, saga.paused) {
            (row.version, row.status, row.paused) = (saga.version, saga.status, saga.paused);
            row.changed_at = saga.changed_at;
        }
    }
}

fn all_differ<T: Eq + Hash>(mut items: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    items.all(|item| seen.insert(item))
}
