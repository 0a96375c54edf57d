//! Dead letters on their way to the store. Letters that arrive during a write share the next transaction.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::lane::size;
use snorri_ports::store::{Batch, DeadLetter, Error, Store};

/// The bytes of bodies after which no more letters are added to a batch.
const BATCH_BYTES: usize = 4 << 20;

/// A letter, and the sender that waits for it.
type WaitingLetter = (DeadLetter, oneshot::Sender<Result<(), Arc<Error>>>);

#[derive(Debug, Default)]
pub(crate) struct Letterbox {
    waiting: Mutex<VecDeque<WaitingLetter>>,
    /// Held by the sender that commits for all.
    turn: tokio::sync::Mutex<()>,
}

impl Letterbox {
    /// Returns once the letter is stored. If it is dropped halfway, the letter may be stored.
    ///
    /// # Errors
    ///
    /// Those of [`Store::commit`]. [`Error::Invalid`] and [`Error::Exhausted`] are about this letter alone.
    pub(crate) async fn put(&self, store: &dyn Store, letter: DeadLetter) -> Result<(), Arc<Error>> {
        let (done, mut answer) = oneshot::channel();
        self.waiting().push_back((letter, done));
        loop {
            let turn = self.turn.lock().await;
            match answer.try_recv() {
                Ok(result) => return result,
                Err(oneshot::error::TryRecvError::Empty) => write(store, self.take()).await,
                Err(oneshot::error::TryRecvError::Closed) => {
                    let why = "the commit that it was part of was given up";
                    return Err(Arc::new(Error::Unavailable(why.into())));
                }
            }
            drop(turn);
        }
    }

    /// The next batch: at least one letter, if there is any.
    fn take(&self) -> Vec<WaitingLetter> {
        let (mut waiting, mut bytes, mut batch) = (self.waiting(), 0, Vec::new());
        while bytes < BATCH_BYTES
            && let Some((letter, done)) = waiting.pop_front()
        {
            if !done.is_closed() {
                bytes += size::of_letter(&letter);
                batch.push((letter, done));
            }
        }
        batch
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<WaitingLetter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the letters in one transaction. If the database refuses it because of one letter, they are halved until that letter
/// is alone.
async fn write(store: &dyn Store, batch: Vec<WaitingLetter>) {
    let mut todo = vec![batch];
    while let Some(mut letters) = todo.pop() {
        let dead_letters = letters.iter().map(|(letter, _)| letter.clone()).collect();
        match store.commit(Batch { dead_letters, ..Batch::default() }).await {
            Err(Error::Invalid(_) | Error::Exhausted(_)) if letters.len() > 1 => {
                let second = letters.split_off(letters.len() / 2);
                todo.extend([second, letters]);
            }
            result => {
                let result = result.map_err(Arc::new);
                for (_, done) in letters {
                    let _ = done.send(result.clone());
                }
            }
        }
    }
}
