//! The rows of the outbox that this process sends, and what the broker has not confirmed of each.
//!
//! A row has many messages. It can be removed once each of them is confirmed, or has left for another row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use snorri_core::{Message, Time};
use snorri_ports::store::{MessageRef, OutboxId, OutboxRow, Store};

/// A message to be sent, and its place in the outbox.
#[derive(Debug, Clone)]
pub struct OutboxMessage {
    pub place: Place,
    pub message: Arc<Message>,
}

/// A message of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub row: OutboxId,
    pub message: MessageRef,
}

/// The rows that this process sends. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Confirmed(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    sending: HashMap<OutboxId, Sending>,
    /// To be removed by the next commit.
    done: Vec<OutboxId>,
}

#[derive(Debug)]
struct Sending {
    unconfirmed: Vec<MessageRef>,
    /// When the row is forgotten: others have claimed it.
    until: Time,
}

impl Confirmed {
    /// Records that these rows are being sent. Each is forgotten after `until`, which is long after its reservation.
    pub(super) fn expect<'a>(&self, rows: impl IntoIterator<Item = &'a OutboxRow>, until: Time) {
        let sending = rows
            .into_iter()
            .map(|OutboxRow { id, messages }| (*id, Sending { unconfirmed: messages.clone(), until }));
        self.lock().sending.extend(sending);
    }

    pub(super) fn add(&self, places: impl IntoIterator<Item = Place>) {
        let mut rows = self.lock();
        for Place { row, message } in places {
            let Some(sending) = rows.sending.get_mut(&row) else { continue };
            if let Some(index) = sending.unconfirmed.iter().position(|other| *other == message) {
                sending.unconfirmed.swap_remove(index);
            }
            if sending.unconfirmed.is_empty() {
                rows.sending.remove(&row);
                rows.done.push(row);
            }
        }
    }

    /// The rows that the next commit is to remove.
    pub(crate) fn take(&self) -> Vec<OutboxId> {
        std::mem::take(&mut self.lock().done)
    }

    /// Whether nothing is to be removed.
    pub fn is_empty(&self) -> bool {
        self.lock().done.is_empty()
    }

    /// The messages of these rows that the broker has not confirmed, as far as this process knows.
    pub(crate) fn unconfirmed(&self, mut found: Vec<OutboxRow>) -> Vec<OutboxRow> {
        let rows = self.lock();
        for row in &mut found {
            match rows.sending.get(&row.id) {
                Some(sending) => row.messages.retain(|message| sending.unconfirmed.contains(message)),
                None if rows.done.contains(&row.id) => row.messages.clear(),
                None => {}
            }
        }
        found.retain(|row| !row.messages.is_empty());
        found
    }

    /// Has any process claim messages from `at` on: they leave their rows. If the store does not take them, the process that
    /// claims their rows sends everything in these again.
    pub(super) async fn give_back(&self, store: &dyn Store, places: Vec<Place>, at: Time) {
        if places.is_empty() {
            return;
        }
        let messages: Vec<_> = places.iter().map(|place| place.message).collect();
        match store.give_back(&OutboxRow::of(&messages), at).await {
            Ok(()) => self.add(places),
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the reservation of messages has to pass"
            ),
        }
    }

    /// Forgets rows that others have claimed meanwhile.
    pub(super) fn forget_overdue(&self, now: Time) {
        self.lock().sending.retain(|_, sending| sending.until > now);
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows for messages that are about to be committed. Messages between sagas have rows of their own: they are sent although the
/// broker is not available.
pub(crate) fn queue(
    messages: impl IntoIterator<Item = (MessageRef, Arc<Message>)>,
) -> (Vec<OutboxRow>, Vec<OutboxMessage>) {
    let mut rows: Vec<OutboxRow> = Vec::new();
    // The row that is being filled, for messages to the broker and for those between sagas.
    let mut open: [Option<usize>; 2] = [None; 2];
    let mut place = |message: MessageRef, is_internal: bool| {
        let open = &mut open[usize::from(is_internal)];
        let index = match *open {
            Some(index) if rows[index].messages.len() < OutboxRow::MAX_MESSAGES => index,
            _ => {
                rows.push(OutboxRow::new(Vec::new()));
                *open.insert(rows.len() - 1)
            }
        };
        rows[index].messages.push(message);
        Place { row: rows[index].id, message }
    };
    let queued = messages
        .into_iter()
        .map(|(at, message)| OutboxMessage { place: place(at, message.is_internal()), message })
        .collect();
    (rows, queued)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use snorri_core::SagaId;

    fn row(count: u32) -> OutboxRow {
        let saga = SagaId(Uuid::from_u128(1));
        OutboxRow::new((0..count).map(|index| MessageRef { saga, seq: 1, index }).collect())
    }

    fn place(row: &OutboxRow, index: usize) -> Place {
        Place { row: row.id, message: row.messages[index] }
    }

    #[test]
    fn a_row_is_removed_once_all_of_its_messages_are_confirmed() {
        let (confirmed, one, other) = (Confirmed::default(), row(2), row(1));
        confirmed.expect([&one, &other], Time(10));
        confirmed.add([place(&one, 1)]);
        confirmed.add([place(&one, 1)]);
        assert!(confirmed.is_empty());
        let left = OutboxRow { messages: vec![one.messages[0]], ..one.clone() };
        assert_eq!(confirmed.unconfirmed(vec![one.clone(), other.clone()]), [left, other.clone()]);
        confirmed.add([place(&one, 0)]);
        assert_eq!(confirmed.unconfirmed(vec![one.clone(), other.clone()]), std::slice::from_ref(&other));
        assert_eq!(confirmed.take(), [one.id]);
        assert!(confirmed.is_empty());
        confirmed.add([place(&other, 0)]);
        assert_eq!(confirmed.take(), [other.id]);
    }

    #[test]
    fn a_row_that_others_have_claimed_is_forgotten() {
        let (confirmed, one) = (Confirmed::default(), row(1));
        confirmed.expect([&one], Time(10));
        confirmed.forget_overdue(Time(9));
        confirmed.forget_overdue(Time(10));
        confirmed.add([place(&one, 0)]);
        assert!(confirmed.is_empty());
        assert_eq!(confirmed.unconfirmed(vec![one.clone()]), [one]);
    }
}
