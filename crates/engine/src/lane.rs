//! A lane: takes the inputs of its sagas, decides, commits, and only then answers.
//!
//! Every saga belongs to one lane of a process. A lane takes all waiting inputs, up to a bound, decides them in memory and
//! commits them in one transaction; meanwhile the next batch collects. So an idle system answers after one commit, and a loaded
//! one shares a commit among hundreds of inputs. A batch is bounded in number and in bytes.
//!
//! Under load, a lane waits for a moment before it commits, as PostgreSQL does with `commit_delay` and `commit_siblings`: with
//! 200 sagas in flight, larger batches save a fifth of the database's work for each saga.
//!
//! The cached states are only an optimization: if another process was first, the journal's key conflicts, and the lane decides
//! again about these sagas. The same follows a commit whose outcome is unknown. A rejected input writes no journal entry that
//! could conflict: before a cached state may reject an input, the store is checked.
//!
//! A bad item affects only itself. A saga that cannot be read or decided about is set aside alone. A batch that the database
//! refuses because of its content is halved until the cause is alone.

pub(crate) mod audit;
pub mod batch;
pub(crate) mod ended;
pub(crate) mod request;
pub(crate) mod size;
pub(crate) mod state_cache;
pub(crate) mod submitter;

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::definitions::{Definitions, computing};
use crate::lane::batch::{BatchBuilder, Before};
use crate::lane::request::{Accepted, LaneMessage, Request, SubmitError};
use crate::lane::state_cache::{CachedSaga, StateCache, States, check_rejected};
use crate::metrics::{BatchCounts, Metrics};
use crate::outbox::{self, Outbox};
use crate::supervision::liveness::Progress;
use snorri_core::transition::Consequences;
use snorri_core::{Input, Rejection, SagaId, advance_state};
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, Batch, OutboxId, Store};
use snorri_wire::envelope::Wire;

/// Pauses between attempts to reach a database that is not available.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MOST: Duration = Duration::from_secs(2);

/// A lane whose last batch had this many inputs is busy, and expects more.
const BUSY_INPUTS: usize = 8;

/// The bytes of entries and messages after which no more inputs are added to a batch.
const BATCH_BYTES: usize = 4 << 20;

/// How often an input that is alone in its batch may fail, while the database takes others, until it is refused.
const MOST_FAILURES: u32 = 3;

/// The number of remembered sagas that were set aside.
const ASIDE: NonZeroUsize = NonZeroUsize::new(1_000).expect("it is not zero");

/// The parts of a lane.
#[derive(Debug)]
pub struct LaneParts {
    pub channel: mpsc::Receiver<LaneMessage>,
    pub store: Arc<dyn Store>,
    pub definitions: Arc<Definitions>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub outbox: Outbox,
    /// Most inputs of one batch.
    pub batch_limit: usize,
    /// How long to wait for more inputs after a batch of `BUSY_INPUTS`.
    pub commit_delay: Duration,
    /// This process, which sends the messages of a commit.
    pub process: Uuid,
    /// Decodes replies and events.
    pub wire: Wire,
    pub state_cache: StateCache,
    /// Shows `/livez` that the lane makes progress.
    pub progress: Progress,
}

#[derive(Debug)]
pub struct Lane {
    parts: LaneParts,
    /// Inputs in the order in which they are to be decided.
    waiting: VecDeque<Request>,
    /// Messages that the broker has confirmed, for the next commit to remove.
    sent: Vec<OutboxId>,
    /// Sagas that another process may have started or continued.
    doubted: HashSet<SagaId>,
    /// The most inputs of a batch: fewer after a failure.
    allowed: usize,
    /// The wait after the next failure.
    wait: Duration,
    commits: u64,
    aside: LruCache<SagaId, ()>,
}

impl Lane {
    pub fn new(parts: LaneParts) -> Self {
        Self {
            allowed: parts.batch_limit,
            parts,
            waiting: VecDeque::new(),
            sent: Vec::new(),
            doubted: HashSet::new(),
            wait: RETRY_FIRST,
            commits: 0,
            aside: LruCache::new(ASIDE),
        }
    }

    /// Runs until `stop` is cancelled and all inputs received by then are committed, or the database does not take them.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut is_busy = false;
        while self.receive(is_busy, &stop).await {
            is_busy = self.waiting.len() >= BUSY_INPUTS;
            let batch = self.waiting.drain(..self.allowed.min(self.waiting.len())).collect();
            self.parts.progress.step();
            self.handle(batch, &stop).await;
            if stop.is_cancelled() && self.wait > RETRY_FIRST {
                tracing::info!("the database is not available: what it has not taken is left to others");
                return;
            }
        }
    }

    /// Receives the inputs of the next batch. `false`: there are none, and there will be none.
    async fn receive(&mut self, is_busy: bool, stop: &CancellationToken) -> bool {
        if self.waiting.is_empty() {
            // Otherwise the sagas of abandoned inputs would stay in it. A start that is trusted wrongly only conflicts.
            self.doubted.clear();
            self.parts.progress.rest();
            let (channel, limit) = (&mut self.parts.channel, self.parts.batch_limit);
            let mut messages = Vec::new();
            let received = loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled(), if !channel.is_closed() => channel.close(),
                    received = channel.recv_many(&mut messages, limit) => break received,
                }
            };
            if received == 0 {
                return false;
            }
            self.waiting.extend(messages.into_iter().filter_map(LaneMessage::into_request));
            if is_busy && !self.parts.commit_delay.is_zero() && !stop.is_cancelled() {
                tokio::time::sleep(self.parts.commit_delay).await;
            }
        }
        self.receive_more();
        true
    }

    /// Receives the inputs that have arrived meanwhile.
    fn receive_more(&mut self) {
        while self.waiting.len() < self.parts.batch_limit
            && let Ok(message) = self.parts.channel.try_recv()
        {
            self.waiting.extend(message.into_request());
        }
    }

    /// Decides and commits a batch. Inputs that failed wait again.
    async fn handle(&mut self, mut requests: Vec<Request>, stop: &CancellationToken) {
        self.sent.extend(self.parts.outbox.take_confirmed());
        let error = match self.try_handle(&requests).await {
            Ok(results) => {
                self.put_back(requests.split_off(results.len()));
                for (request, result) in requests.into_iter().zip(results) {
                    self.doubted.remove(&request.saga);
                    // The caller may have gone; the decision stands.
                    let _ = request.done.send(result);
                }
                (self.wait, self.allowed) = (RETRY_FIRST, (self.allowed * 2).min(self.parts.batch_limit));
                self.commits += 1;
                return;
            }
            Err(store::Error::Conflict) => {
                self.parts.metrics.conflicts.inc();
                return self.put_back(requests);
            }
            Err(error) => error,
        };
        for request in &requests {
            self.parts.state_cache.forget(request.saga);
            self.doubted.insert(request.saga);
        }
        match error {
            store::Error::Invalid(_) | store::Error::Exhausted(_) if requests.len() > 1 => {
                self.allowed = requests.len().div_ceil(2);
                self.put_back(requests);
            }
            store::Error::Invalid(why) if !requests.is_empty() => refuse(requests, &why),
            store::Error::Exhausted(_) if !requests.is_empty() => {
                self.retry_alone(requests, error, stop).await;
            }
            error => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot commit, trying again");
                self.pause(stop).await;
                self.put_back(requests);
                self.receive_more();
                let tried_again =
                    self.waiting.drain(..).filter_map(|request| request.unless_given_up(&error));
                self.waiting = tried_again.collect();
            }
        }
    }

    /// Handles an input that failed although it was alone in its batch. It is tried again after all others, and refused once it
    /// is clear that the input is the cause.
    async fn retry_alone(&mut self, requests: Vec<Request>, error: store::Error, stop: &CancellationToken) {
        for mut request in requests {
            if request.failures == 0 || request.failed_at < self.commits {
                request.failures += 1;
                request.failed_at = self.commits;
            }
            tracing::warn!(saga = %request.saga, failures = request.failures,
                error = &error as &dyn std::error::Error, "cannot commit one input");
            if request.failures >= MOST_FAILURES {
                refuse(vec![request], &error.to_string());
            } else {
                self.waiting.extend(request.unless_given_up(&error));
            }
        }
        self.pause(stop).await;
    }

    async fn pause(&mut self, stop: &CancellationToken) {
        tokio::select! {
            biased;
            () = tokio::time::sleep(self.wait) => {}
            () = stop.cancelled() => {}
        }
        self.wait = (self.wait * 2).min(RETRY_MOST);
    }

    fn put_back(&mut self, requests: Vec<Request>) {
        for request in requests.into_iter().rev() {
            self.waiting.push_front(request);
        }
    }

    /// Decides and commits the first of these inputs: as many as it returns results.
    async fn try_handle(
        &mut self,
        requests: &[Request],
    ) -> Result<Vec<Result<Accepted, SubmitError>>, store::Error> {
        let parts = &mut self.parts;
        let (store, definitions) = (&*parts.store, &*parts.definitions);
        let mut states = parts.state_cache.gather(requests, &self.doubted, store, definitions).await?;
        let mut builder = BatchBuilder::default();
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            results.push(self.decide(&mut states, request, &mut builder).await);
            if builder.bytes() >= BATCH_BYTES {
                break;
            }
        }
        match self.commit(&requests[..results.len()], &results, &states.known, builder).await {
            Ok(()) => self.parts.state_cache.keep(states.known),
            Err(store::Error::Conflict) => {
                // Any of them may have changed: all are loaded again.
                self.doubted.extend(states.known.into_keys());
                return Err(store::Error::Conflict);
            }
            Err(error) => return Err(error),
        }
        Ok(results)
    }

    async fn commit(
        &mut self,
        requests: &[Request],
        results: &[Result<Accepted, SubmitError>],
        known: &HashMap<SagaId, CachedSaga>,
        mut builder: BatchBuilder,
    ) -> Result<(), store::Error> {
        check_rejected(&*self.parts.store, requests, results, known).await?;
        if builder.is_empty() && self.sent.is_empty() {
            return Ok(());
        }
        let parts = &self.parts;
        let queued = parts.outbox.queue(builder.take_messages(), parts.clock.now());
        let counts = BatchCounts::of(builder.entries());
        let concluded = outbox::conclusions(builder.entries());
        let batch = Batch {
            outbox: queued.rows.clone(),
            outbox_reserved_until: queued.reserved_until,
            outbox_holder: parts.process,
            sent: self.sent.clone(),
            ..builder.into_batch()
        };
        let committing = parts.metrics.commit_seconds.start();
        parts.store.commit(batch).await?;
        committing.stop();
        parts.metrics.observe_batch(&counts);
        parts.outbox.conclude(&concluded, parts.clock.now());
        parts.outbox.send(queued);
        self.sent.clear();
        Ok(())
    }

    async fn decide(
        &mut self,
        states: &mut States,
        request: &Request,
        builder: &mut BatchBuilder,
    ) -> Result<Accepted, SubmitError> {
        match states.unreadable.get(&request.saga) {
            Some(store::Error::Corrupt(why)) => {
                let why = why.clone();
                self.set_aside(request.saga, &why, builder).await;
                return Err(SubmitError::Unreadable(why));
            }
            // It is left to a process that can read it.
            Some(error) => return Err(SubmitError::Unavailable(error.to_string())),
            None => {}
        }
        let known = states.known.get_mut(&request.saga).ok_or(Rejection::UnknownSaga)?;
        let Request { input, options, .. } = request;
        if options.expected.is_some_and(|expected| expected != known.state.seq) {
            return Err(SubmitError::Changed { seq: known.state.seq });
        }
        if let (None, Input::Start(started)) = (&known.definition, input) {
            known.definition = self.parts.definitions.known(&started.definition, Some(started.version));
        }
        let before = Before::of(&known.state, options.audit.as_ref());
        let Some(decided) = self.advance(known, input) else {
            let why = "this program failed to decide about it, which is a mistake of the program".to_owned();
            self.set_aside(request.saga, &why, builder).await;
            // Its state is half changed.
            states.known.remove(&request.saga);
            states.unreadable.insert(request.saga, store::Error::Corrupt(why.clone()));
            return Err(SubmitError::Unreadable(why));
        };
        let consequences = decided.inspect_err(|rejection| self.parts.metrics.observe_rejected(rejection))?;
        builder.keep_unusable(&self.parts.wire, known.state.id, request, &consequences.entry);
        builder.add(before, &known.state, options.audit.as_ref(), consequences);
        if let Input::Migrate(migrate) = input {
            known.definition = self.parts.definitions.known(&migrate.to.name, Some(migrate.to.version));
        }
        Ok(Accepted { seq: known.state.seq, status: known.state.status() })
    }

    /// Decides about an input. Expressions over lists may take some 50 ms each, during which other tasks run. `None`: the
    /// decision panicked, which affects no other saga.
    fn advance(&self, known: &mut CachedSaga, input: &Input) -> Option<Result<Consequences, Rejection>> {
        let Some(compiled) = known.definition.clone() else { return Some(Err(Rejection::UnknownSaga)) };
        let now = self.parts.clock.now();
        let takes_long = computing::takes_long(&compiled, &known.state);
        let decide = || advance_state(&compiled.definition, &mut known.state, input, now);
        let decide = || catch_unwind(AssertUnwindSafe(decide)).ok();
        if takes_long { computing::in_place(decide) } else { decide() }
    }

    /// Raises an incident about a saga that cannot be read or decided about, once.
    async fn set_aside(&mut self, saga: SagaId, why: &str, builder: &mut BatchBuilder) {
        if self.aside.contains(&saga) {
            return;
        }
        tracing::error!(%saga, why, "a saga is set aside: it cannot be read or decided about");
        if let Ok(Some(row)) = self.parts.store.saga(saga).await {
            builder.set_aside(saga, row.started_at);
            self.aside.put(saga, ());
        }
    }
}

fn refuse(requests: Vec<Request>, why: &str) {
    tracing::error!(why, "the database cannot hold what an input led to: the input is refused");
    for request in requests {
        let _ = request.done.send(Err(SubmitError::Invalid(why.to_owned())));
    }
}
