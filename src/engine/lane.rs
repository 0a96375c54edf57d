//! A lane: takes the inputs of its sagas, decides, commits, and only then lets go.
//!
//! Every saga belongs to one lane of a process. A lane takes all that waits, up to a bound, decides it in memory and
//! commits it in one transaction; while that happens, the next batch gathers. So an idle system answers after one
//! commit, and a loaded one shares a commit among hundreds of inputs.
//!
//! While much comes in, a lane waits for a moment before it commits, as PostgreSQL does with `commit_delay` and
//! `commit_siblings`: with 200 sagas in flight, larger batches take a fifth off the database's work for each saga.
//!
//! The states it keeps are only a speed-up: if another process was first, the journal's key says so, and the lane loads
//! what there is and decides again. That is also what happens after a commit whose outcome is unknown. An input that is
//! ignored writes no journal that could say so: before a remembered state may ignore one, the store is asked.
//!
//! A saga that cannot be read is set aside alone: its inputs are given back, and the others of its batch go on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::SubmitError;
use super::batch::Gathered;
use super::clock::Clock;
use super::definitions::Definitions;
use super::metrics::{Metrics, Tally};
use super::outbox::{self, Outbox};
use super::work::{Accepted, Task, Work};
use crate::broker::envelope::Wire;
use crate::catalog::Compiled;
use crate::saga::{Entry, Ignored, Input, SagaId, State, transition};
use crate::store::{self, OutboxId, Store};

/// Waits between two tries of a database that is not available.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(2);

/// A lane whose last batch had this many inputs is busy, and will soon have more.
const BUSY_INPUTS: usize = 8;

/// What a lane works with.
#[derive(Debug)]
pub struct Lane {
    pub tasks: mpsc::Receiver<Task>,
    pub store: Arc<dyn Store>,
    pub definitions: Arc<Definitions>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub outbox: Outbox,
    /// Most inputs of one batch.
    pub batch_limit: usize,
    /// How long to wait for more inputs after a batch of [`BUSY_INPUTS`].
    pub commit_delay: Duration,
    /// How long the messages of a commit are this process's to send.
    pub outbox_lease: Duration,
    /// What replies and events are read with.
    pub wire: Wire,
    pub hot: HotStates,
}

/// The states of sagas that something happened to lately.
#[derive(Debug)]
pub struct HotStates(LruCache<SagaId, Known>);

/// A saga's state, and the definition it is pinned to.
#[derive(Debug, Clone)]
struct Known {
    state: State,
    definition: Option<Arc<Compiled>>,
    /// How many entries the journal had when the state was remembered, if it was not loaded for this batch.
    remembered: Option<u32>,
}

/// A batch that the database cannot hold.
struct Refused {
    works: Vec<Work>,
    why: String,
}

/// The sagas of a batch: those that can be decided about, and why the others cannot.
#[derive(Debug, Default)]
struct States {
    known: HashMap<SagaId, Known>,
    unreadable: HashMap<SagaId, String>,
}

impl HotStates {
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self(LruCache::new(capacity))
    }
}

impl Lane {
    /// Works until `stop` is cancelled and all that had come in by then is committed.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tasks = Vec::with_capacity(self.batch_limit);
        let mut is_busy = false;
        loop {
            tokio::select! {
                received = self.tasks.recv_many(&mut tasks, self.batch_limit) => {
                    if received == 0 {
                        return;
                    }
                }
                () = stop.cancelled(), if !self.tasks.is_closed() => self.tasks.close(),
            }
            let mut works: Vec<Work> = tasks.drain(..).filter_map(Task::into_work).collect();
            if is_busy && !self.commit_delay.is_zero() && !stop.is_cancelled() {
                tokio::time::sleep(self.commit_delay).await;
                self.take_more(&mut works);
            }
            is_busy = works.len() >= BUSY_INPUTS;
            self.handle(works).await;
        }
    }

    /// Adds what has come in while a batch waited.
    fn take_more(&mut self, works: &mut Vec<Work>) {
        while works.len() < self.batch_limit
            && let Ok(task) = self.tasks.try_recv()
        {
            works.extend(task.into_work());
        }
    }

    /// Decides and commits what came in. A batch with a value that the database cannot hold is split into its inputs, so that
    /// only the one that has it is refused.
    async fn handle(&mut self, works: Vec<Work>) {
        let mut sent = self.outbox.take_confirmed();
        let mut batches = VecDeque::from([works]);
        while let Some(works) = batches.pop_front() {
            match self.commit_batch(works, &sent).await {
                Ok(()) => sent.clear(),
                Err(Refused { mut works, why }) if works.len() == 1 => {
                    tracing::error!(
                        why,
                        "the database cannot hold what an input led to: the input is refused"
                    );
                    for work in works.drain(..) {
                        let _ = work.done.send(Err(SubmitError::Invalid(why.clone())));
                    }
                }
                Err(Refused { works, .. }) => batches.extend(works.into_iter().map(|work| vec![work])),
            }
        }
        // Nothing that could be committed has taken these along.
        if !sent.is_empty() && self.commit_batch(Vec::new(), &sent).await.is_err() {
            tracing::error!("the database cannot remove messages of the outbox: they will be sent again");
        }
    }

    /// Decides and commits one batch, as often as it takes.
    async fn commit_batch(&mut self, mut works: Vec<Work>, sent: &[OutboxId]) -> Result<(), Refused> {
        let mut trust_starts = true;
        let mut wait = RETRY_FIRST;
        loop {
            match self.try_handle(&works, sent, trust_starts).await {
                Ok(results) => {
                    for (work, result) in works.into_iter().zip(results) {
                        // Whoever asked may have gone; what was decided stands.
                        let _ = work.done.send(result);
                    }
                    return Ok(());
                }
                Err(store::Error::Invalid(why)) => {
                    for work in &works {
                        self.hot.0.pop(&work.saga);
                    }
                    return Err(Refused { works, why });
                }
                Err(store::Error::Conflict) => {
                    self.metrics.conflicts.inc();
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot commit, trying again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY_MOST);
                    self.take_more(&mut works);
                    works = works.into_iter().filter_map(|work| work.unless_given_up(&error)).collect();
                }
            }
            trust_starts = false;
            for work in &works {
                self.hot.0.pop(&work.saga);
            }
        }
    }

    async fn try_handle(
        &mut self,
        works: &[Work],
        sent: &[OutboxId],
        trust_starts: bool,
    ) -> Result<Vec<Result<Accepted, SubmitError>>, store::Error> {
        let States { mut known, unreadable } = self.gather_states(works, trust_starts).await?;
        let mut gathered = Gathered::default();
        let mut results = Vec::with_capacity(works.len());
        for work in works {
            results.push(match (known.get_mut(&work.saga), unreadable.get(&work.saga)) {
                (Some(known), _) => self.decide(known, work, &mut gathered),
                (None, Some(why)) => Err(SubmitError::Unreadable(why.clone())),
                (None, None) => Err(Ignored::UnknownSaga.into()),
            });
        }
        self.check_ignored(works, &results, &known).await?;
        if gathered.is_empty() && sent.is_empty() {
            self.keep(known);
            return Ok(results);
        }
        let unsent = gathered.outbox().to_vec();
        let tally = Tally::of(gathered.entries());
        let concluded = outbox::conclusions(gathered.entries());
        let reserved_until = self.clock.now().after(self.outbox_lease);
        let committing = self.metrics.commit_seconds.start();
        self.store.commit(gathered.into_batch(sent.to_vec(), reserved_until)).await?;
        committing.stop();
        self.metrics.observe_batch(&tally);
        self.keep(known);
        self.outbox.conclude(&concluded, self.clock.now());
        self.outbox.send(unsent);
        Ok(results)
    }

    /// Whether what was ignored may be: another process may have gone on with a saga that is remembered here.
    async fn check_ignored(
        &self,
        works: &[Work],
        results: &[Result<Accepted, SubmitError>],
        known: &HashMap<SagaId, Known>,
    ) -> Result<(), store::Error> {
        let is_doubtful = |result: &Result<Accepted, SubmitError>| match result {
            Err(SubmitError::Ignored(ignored)) => !matches!(ignored, Ignored::AlreadyStarted { .. }),
            Err(SubmitError::Changed { .. }) => true,
            _ => false,
        };
        let doubtful = works.iter().zip(results).filter(|(_, result)| is_doubtful(result));
        let remembered: HashMap<SagaId, u32> =
            doubtful.filter_map(|(work, _)| Some((work.saga, known.get(&work.saga)?.remembered?))).collect();
        if remembered.is_empty() {
            return Ok(());
        }
        let journals = match self.store.load(&remembered.keys().copied().collect::<Vec<_>>()).await {
            // Which one it is shows once all of them are loaded anew.
            Err(store::Error::Corrupt(_)) => return Err(store::Error::Conflict),
            journals => journals?,
        };
        let is_current = |(saga, seq): (&SagaId, &u32)| {
            journals.get(saga).is_some_and(|journal| journal.len() == *seq as usize)
        };
        if remembered.iter().all(is_current) { Ok(()) } else { Err(store::Error::Conflict) }
    }

    fn decide(
        &self,
        known: &mut Known,
        work: &Work,
        gathered: &mut Gathered,
    ) -> Result<Accepted, SubmitError> {
        let Work { input, terms, .. } = work;
        if terms.expected.is_some_and(|expected| expected != known.state.seq) {
            return Err(SubmitError::Changed { seq: known.state.seq });
        }
        if let (None, Input::Start(started)) = (&known.definition, input) {
            known.definition = self.definitions.known(&started.definition, Some(started.version));
        }
        let definition = known.definition.as_ref().ok_or(Ignored::UnknownSaga)?;
        let decision = transition(&definition.definition, &known.state, input, self.clock.now())
            .inspect_err(|ignored| self.metrics.observe_ignored(ignored))?;
        gathered.keep_unusable(&self.wire, known.state.id, work, &decision.entry);
        known.state = gathered.add(&known.state, terms.asked.as_ref(), decision);
        if let Input::Migrate(migrate) = input {
            known.definition = self.definitions.known(&migrate.to.name, Some(migrate.to.version));
        }
        Ok(Accepted { seq: known.state.seq, status: known.state.status() })
    }

    /// The states of all sagas in `works`. A start that is not known here is taken for the first one, unless a conflict has
    /// just shown that it may not be.
    async fn gather_states(&mut self, works: &[Work], trust_starts: bool) -> Result<States, store::Error> {
        let mut states = HashMap::with_capacity(works.len());
        let mut missing = HashSet::new();
        for Work { saga, input, .. } in works {
            if states.contains_key(saga) || missing.contains(saga) {
                continue;
            }
            if let Some(hot) = self.hot.0.pop(saga) {
                let remembered = Some(hot.state.seq);
                states.insert(*saga, Known { remembered, ..hot });
            } else if trust_starts && matches!(input, Input::Start(_)) {
                states.insert(*saga, Known { state: State::new(*saga), definition: None, remembered: None });
            } else {
                missing.insert(*saga);
            }
        }
        let mut states = States { known: states, unreadable: HashMap::new() };
        if !missing.is_empty() {
            self.load(missing.into_iter().collect(), &mut states).await?;
        }
        Ok(states)
    }

    async fn load(&self, missing: Vec<SagaId>, states: &mut States) -> Result<(), store::Error> {
        match self.store.load(&missing).await {
            Ok(journals) => {
                for id in missing {
                    let read = self.read(id, journals.get(&id).into_iter().flatten()).await;
                    states.put(id, read)?;
                }
            }
            // One of them: the others can be had one by one.
            Err(store::Error::Corrupt(_)) => {
                for id in missing {
                    let read = match self.store.load(&[id]).await {
                        Ok(journals) => self.read(id, journals.get(&id).into_iter().flatten()).await,
                        Err(error) => Err(error),
                    };
                    states.put(id, read)?;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn read(
        &self,
        id: SagaId,
        journal: impl Iterator<Item = &Entry> + Send,
    ) -> Result<Known, store::Error> {
        let state = State::replay(id, journal);
        let definition = match &state.started {
            Some(started) => Some(self.definition(&started.definition, state.version()).await?),
            None => None,
        };
        Ok(Known { state, definition, remembered: None })
    }

    async fn definition(&self, name: &str, version: u32) -> Result<Arc<Compiled>, store::Error> {
        use super::definitions::Error;
        self.definitions.find(name, Some(version)).await.map_err(|error| match error {
            Error::Store(error) => error,
            error => store::Error::Corrupt(error.to_string()),
        })
    }

    fn keep(&mut self, known: HashMap<SagaId, Known>) {
        for (id, known) in known {
            if known.state.seq > 0 && known.state.ended.is_none() {
                self.hot.0.put(id, known);
            }
        }
    }
}

impl States {
    /// Takes in what became of reading one saga. Only what a later try may not meet is an error of all.
    fn put(&mut self, id: SagaId, read: Result<Known, store::Error>) -> Result<(), store::Error> {
        match read {
            Ok(known) => {
                self.known.insert(id, known);
            }
            Err(store::Error::Corrupt(why)) => {
                tracing::error!(saga = %id, why, "a saga cannot be read: it is set aside");
                self.unreadable.insert(id, why);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
