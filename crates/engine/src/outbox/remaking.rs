//! Makes the messages of outbox rows again, from the journals of their sagas.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::definitions::{Definitions, computing};
use crate::lane::state_cache::definition;
use crate::outbox::confirmed::{OutboxMessage, Place};
use snorri_core::transition::messages_of;
use snorri_core::{Entry, Message, SagaId, State};
use snorri_ports::store::{self, OutboxRow, Store};

/// Makes messages again.
#[derive(Debug, Clone)]
pub(crate) struct Remaker {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) definitions: Arc<Definitions>,
}

/// The messages of some rows.
#[derive(Debug, Default)]
pub(crate) struct Remade {
    /// In the order of their rows.
    pub(crate) messages: Vec<OutboxMessage>,
    /// Those of sagas that cannot be read now.
    pub(crate) unreadable: Vec<Place>,
    /// Those that are in no journal.
    pub(crate) unknown: Vec<Place>,
}

/// The messages of one entry, or why its saga cannot be read.
type Made = Result<Vec<Arc<Message>>, store::Error>;

impl Remaker {
    /// # Errors
    ///
    /// If the store is not available.
    pub(crate) async fn remake(&self, rows: &[OutboxRow]) -> Result<Remade, store::Error> {
        let mut wanted: BTreeMap<SagaId, BTreeSet<u32>> = BTreeMap::new();
        for message in rows.iter().flat_map(|row| &row.messages) {
            wanted.entry(message.saga).or_default().insert(message.seq);
        }
        let sagas: Vec<_> = wanted.keys().copied().collect();
        let mut loaded = self.store.load(&sagas).await?;
        let mut made: HashMap<(SagaId, u32), Made> = HashMap::new();
        for (saga, seqs) in wanted {
            let journal = loaded.take(saga);
            for seq in seqs {
                let messages = match &journal {
                    Ok(journal) => self.messages_of(saga, journal, seq).await,
                    Err(error) => Err(store::Error::Corrupt(error.to_string())),
                };
                made.insert((saga, seq), messages);
            }
        }
        let mut remade = Remade::default();
        for row in rows {
            for message in &row.messages {
                let place = Place { row: row.id, message: *message };
                match made.get(&(message.saga, message.seq)) {
                    Some(Ok(messages)) => match messages.get(message.index as usize) {
                        Some(message) => {
                            remade.messages.push(OutboxMessage { place, message: Arc::clone(message) });
                        }
                        None => remade.unknown.push(place),
                    },
                    Some(Err(_)) | None => remade.unreadable.push(place),
                }
            }
        }
        Ok(remade)
    }

    async fn messages_of(&self, saga: SagaId, journal: &[Entry], seq: u32) -> Made {
        let index = (seq as usize).saturating_sub(1);
        let Some(entry) = journal.get(index) else { return Ok(Vec::new()) };
        let before = State::replay(saga, &journal[..index]);
        let after = State::replay(saga, &journal[..=index]);
        let Some(started) = &after.started else { return Ok(Vec::new()) };
        let compiled = definition(&self.definitions, &started.definition, after.version()).await?;
        let make = || messages_of(&compiled.definition, &before, entry);
        let make = || catch_unwind(AssertUnwindSafe(make));
        match computing::decide(&compiled, &after, make) {
            Ok(messages) => Ok(messages.into_iter().map(Arc::new).collect()),
            Err(_) => {
                Err(store::Error::Corrupt(format!("entry {seq} of saga {saga}: its messages cannot be made")))
            }
        }
    }
}
