//! Checks every call that crosses a port, and records violations.

#[path = "watch/observer.rs"]
mod observer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use snorri_core::input::Attempt;
use snorri_core::journal::Fact;
use snorri_core::state::{Pending, StepOutcome, StepState};
use snorri_core::transition::messages_of;
use snorri_core::{Direction, Entry, Input, Message, Rejection, SagaId, State, StepPath, Time, transition};
use snorri_definition::Compiled;
use snorri_engine::outbox::flow::conclusion::{Conclusion, conclusions};
use snorri_ports::broker::{Delivery, Publication, Published, Verdict};
use snorri_ports::clock::Clock;
use snorri_ports::store::{Appended, Batch, DeadLetter, MessageRef, OutboxId, OutboxRow, Store};
use snorri_wire::envelope::Wire;
use testkit::MemoryStore;
use testkit::{Call, Fault, ManualClock, Observer};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::story::Story;
use crate::wire::{OnTheWire, delivery_of, format_fact, key_of, on_the_wire};

/// The observer of a run.
#[derive(Debug)]
pub struct Watch {
    pub story: Arc<Story>,
    pub store: Arc<MemoryStore>,
    pub wire: Wire,
    compiled: Vec<Arc<Compiled>>,
    /// The clock of the database.
    clock: Arc<ManualClock>,
    /// Whether messages may wait for others to be answered.
    is_windowed: bool,
    /// A message was committed that is to be sent.
    pub sending: Notify,
    /// How many calls were made.
    calls: AtomicU64,
    inner: Mutex<Inner>,
}

/// How long before a stop a commit still counts as one of its.
const LATELY: Duration = Duration::from_millis(300);
/// More calls than any run makes that ends.
const MAX_CALLS: u64 = 500_000;

#[derive(Debug, Default)]
struct Inner {
    violations: Vec<String>,
    /// Compensations that were sent, by saga and step.
    compensated: BTreeSet<(SagaId, StepPath)>,
    /// Every committed entry.
    journal: BTreeMap<(SagaId, u32), Entry>,
    /// Sagas by the id of their start message.
    starts: BTreeMap<String, SagaId>,
    /// Sagas that were poisoned for a while.
    poisoned: BTreeSet<SagaId>,
    paused: BTreeSet<SagaId>,
    /// Messages that are kept as dead letters, because they cannot be handled.
    set_aside: BTreeSet<SetAside>,
    /// The rows of the outbox.
    outbox: BTreeMap<OutboxId, Vec<MessageRef>>,
    /// Messages that the broker has confirmed or returned.
    published: BTreeSet<String>,
    /// Until when something was last wrong with the calls of a process that keeps messages from being sent.
    last_fault: BTreeMap<String, Instant>,
    /// When processes began to stop in order.
    stopping: BTreeMap<String, Instant>,
    /// Processes whose windows may have shrunk: attempts timed out.
    timed_out: BTreeSet<String>,
    /// The messages that processes have committed, and when.
    committed: BTreeMap<String, Vec<(Instant, String)>>,
}

/// Queue, message id, correlation id and body of a message.
type SetAside = (String, Option<String>, Option<String>, Vec<u8>);

fn set_aside(queue: &str, Delivery { properties, body, .. }: &Delivery) -> SetAside {
    (queue.to_owned(), properties.message_id.clone(), properties.correlation_id.clone(), body.clone())
}

impl Watch {
    pub fn new(
        story: Arc<Story>,
        store: Arc<MemoryStore>,
        wire: Wire,
        compiled: Vec<Arc<Compiled>>,
        clock: Arc<ManualClock>,
        is_windowed: bool,
    ) -> Self {
        Self {
            story,
            store,
            wire,
            compiled,
            clock,
            is_windowed,
            sending: Notify::new(),
            calls: AtomicU64::new(0),
            inner: Mutex::default(),
        }
    }

    /// Records a violation.
    pub fn violation(&self, what: impl FnOnce() -> String) {
        let what = what();
        self.story.record(|| format!("VIOLATION: {what}"));
        let mut inner = self.inner();
        if !inner.violations.contains(&what) {
            inner.violations.push(what);
        }
    }

    pub fn violations(&self) -> Vec<String> {
        self.inner().violations.clone()
    }

    /// The message with this id starts this saga.
    pub fn expect_start(&self, message_id: &str, saga: SagaId) {
        self.inner().starts.insert(message_id.to_owned(), saga);
    }

    /// The saga that the message with this id starts.
    pub fn asked_for(&self, message_id: &str) -> Option<SagaId> {
        self.inner().starts.get(message_id).copied()
    }

    pub fn poisoned(&self, saga: SagaId) {
        self.inner().poisoned.insert(saga);
    }

    pub fn was_poisoned(&self, saga: SagaId) -> bool {
        self.inner().poisoned.contains(&saga)
    }

    /// A process begins to stop in order.
    pub fn stopping(&self, process: &str) {
        self.inner().stopping.insert(process.to_owned(), Instant::now());
    }

    /// A process has stopped in order: its recent commits are sent, unless something went wrong.
    pub fn stopped(&self, process: &str) {
        let inner = self.inner();
        let Some(since) = inner.stopping.get(process).map(|began| *began - LATELY) else { return };
        let is_excused = self.is_windowed
            || inner.timed_out.contains(process)
            || inner.last_fault.get(process).is_some_and(|fault| *fault >= since);
        let committed = inner.committed.get(process).into_iter().flatten();
        let left = committed
            .filter(|(at, key)| *at >= since && !inner.published.contains(key))
            .map(|(_, key)| key.clone())
            .next();
        drop(inner);
        if let Some(left) = left.filter(|_| !is_excused) {
            self.violation(|| format!("{process} stops in order and leaves `{left}` unsent"));
        }
    }

    /// A start was accepted: it must be committed by now.
    pub fn accepted(&self, saga: SagaId) {
        if self.state(saga).seq == 0 && !self.was_poisoned(saga) {
            self.violation(|| {
                format!("the start of {} was accepted and is not stored", self.story.name_of(saga))
            });
        }
    }

    /// A saga as it is stored.
    pub fn state(&self, saga: SagaId) -> State {
        let mut loaded = self.store.load(&[saga]).now_or_never().expect("it is in memory").expect("loaded");
        State::replay(saga, &loaded.take(saga).expect("readable"))
    }

    pub fn definition_of(&self, state: &State) -> Option<&Arc<Compiled>> {
        let started = state.started.as_ref()?;
        self.compiled.iter().find(|compiled| compiled.definition.name == started.definition)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("unpoisoned")
    }

    /// The outbox of the batch has every message that follows from its entries.
    fn check_outbox(&self, batch: &Batch) {
        let queued: BTreeSet<_> = batch.outbox.iter().flat_map(|row| &row.messages).copied().collect();
        for Appended { saga, seq, .. } in &batch.entries {
            let messages = self.messages_of(*saga, *seq);
            let at = |index| MessageRef { saga: *saga, seq: *seq, index };
            let Some((_, message)) = (0..).zip(messages).find(|(index, _)| !queued.contains(&at(*index)))
            else {
                continue;
            };
            self.violation(|| {
                format!("{message:?} of {} is journaled and not in the outbox", self.story.name_of(*saga))
            });
        }
    }

    /// The messages that follow from a stored entry.
    fn messages_of(&self, saga: SagaId, seq: u32) -> Vec<Message> {
        let mut loaded = self.store.load(&[saga]).now_or_never().expect("it is in memory").expect("loaded");
        let journal = loaded.take(saga).expect("readable");
        let index = seq as usize - 1;
        let (Some(entry), after) = (journal.get(index), State::replay(saga, journal.iter().take(index + 1)))
        else {
            return Vec::new();
        };
        let Some(compiled) = self.definition_of(&after) else { return Vec::new() };
        messages_of(&compiled.definition, &State::replay(saga, &journal[..index]), entry)
    }

    fn message(&self, MessageRef { saga, seq, index }: MessageRef) -> Option<Message> {
        self.messages_of(saga, seq).into_iter().nth(index as usize)
    }

    /// A message leaves the outbox only once the broker has it, or no step awaits it any more.
    fn check_removed(&self, process: &str, batch: &Batch) {
        for id in &batch.sent {
            let removed = self.inner().outbox.remove(id).unwrap_or_default();
            for place in removed {
                let is_elsewhere = self.inner().outbox.values().any(|messages| messages.contains(&place));
                let Some(message) = self.message(place).filter(|_| !is_elsewhere) else { continue };
                let Some(publication) = self.wire.publication(&message) else { continue };
                let is_published = self.inner().published.contains(&key_of(&publication));
                let is_awaited = match &message {
                    Message::Command(command) => self.is_awaited(command.saga, &command.attempt()),
                    _ => true,
                };
                if !is_published && is_awaited {
                    let key = key_of(&publication);
                    self.violation(|| {
                        format!("{process} removes `{key}` from the outbox before the broker has it")
                    });
                }
            }
        }
        self.queue(&batch.outbox);
        for place in batch.outbox.iter().flat_map(|row| &row.messages) {
            if let Some(publication) =
                self.message(*place).and_then(|message| self.wire.publication(&message))
            {
                let mut inner = self.inner();
                let committed = inner.committed.entry(process.to_owned()).or_default();
                committed.push((Instant::now(), key_of(&publication)));
            }
        }
    }

    fn queue(&self, rows: &[OutboxRow]) {
        let rows = rows.iter().map(|row| (row.id, row.messages.clone()));
        self.inner().outbox.extend(rows);
    }

    /// Whether the saga still awaits a command.
    fn is_awaited(&self, saga: SagaId, attempt: &Attempt) -> bool {
        let state = self.state(saga);
        let Some(compiled) = self.definition_of(&state) else { return false };
        let input = Input::StartClock(attempt.clone());
        let decided = transition(&compiled.definition, &state, &input, self.now());
        decided.is_ok() || decided.is_err_and(|ignored| ignored == Rejection::Paused)
    }

    /// A committed entry stays.
    fn check_journal(&self, process: &str, batch: &Batch) {
        let entries = batch.entries.iter().map(|appended| (appended.saga, &appended.entry));
        if conclusions(entries).any(|(_, conclusion)| conclusion == Conclusion::TimedOut) {
            self.inner().timed_out.insert(process.to_owned());
        }
        for Appended { saga, seq, entry, .. } in &batch.entries {
            let name = self.story.name_of(*saga);
            let mut inner = self.inner();
            let is_next = *seq == 1 || inner.journal.contains_key(&(*saga, seq - 1));
            let before = inner.journal.insert((*saga, *seq), entry.clone());
            drop(inner);
            if before.is_some() {
                self.violation(|| format!("{process} overwrites entry {seq} of {name}"));
            }
            if !is_next {
                self.violation(|| format!("{process} leaves a gap before entry {seq} of {name}"));
            }
            self.check_facts(*saga, entry);
            self.story.record(|| {
                let facts: Vec<String> = entry.facts.iter().map(format_fact).collect();
                format!("{process} commits {name} #{seq}: {}", facts.join(", "))
            });
        }
    }

    /// No step begins during a pause, and no compensation before its step has an outcome.
    fn check_facts(&self, saga: SagaId, entry: &Entry) {
        let name = self.story.name_of(saga);
        for fact in &entry.facts {
            let mut inner = self.inner();
            let is_paused = inner.paused.contains(&saga);
            match fact {
                Fact::Paused => drop(inner.paused.insert(saga)),
                Fact::Resumed { .. } | Fact::Ended { .. } => drop(inner.paused.remove(&saga)),
                Fact::RollbackBegan => {
                    drop(inner);
                    let state = self.state(saga);
                    let is_awaited = |step: &StepState| {
                        matches!(step.outcome, StepOutcome::Pending(Pending::Reply { .. }))
                    };
                    if let Some((step, _)) = state.steps.iter().find(|(_, step)| is_awaited(step)) {
                        self.violation(|| format!("{name} turns back before {step} has an outcome"));
                    }
                }
                Fact::Sent { step, direction, .. } if is_paused => {
                    drop(inner);
                    self.violation(|| format!("{direction} {step} of {name} begins in a pause"));
                }
                Fact::Sent { step, direction: Direction::Compensate, .. } => {
                    drop(inner);
                    let state = self.state(saga);
                    let outcome = state.step(step).map(|step| &step.outcome);
                    if matches!(outcome, Some(StepOutcome::Pending(Pending::Reply { .. }))) {
                        self.violation(|| {
                            format!(
                                "the compensation of {step} of {name} begins before its action has an outcome"
                            )
                        });
                    }
                }
                _ => {}
            }
        }
    }

    fn check_sent(&self, process: &str, publication: &Publication) {
        let Some(OnTheWire { saga, attempt, deadline }) = on_the_wire(publication) else { return };
        let Attempt { step, direction, number } = attempt;
        let name = self.story.name_of(saga);
        let now = self.clock.now();
        self.story.record(|| format!("{process} sends {direction} {step} of {name}, attempt {number}"));
        let last = self.state(saga).step(&step).map_or(0, |step| step.attempts(direction).last);
        if last < number {
            self.violation(|| {
                format!("{direction} {step} of {name} is sent before attempt {number} is committed")
            });
        }
        match direction {
            Direction::Compensate => {
                self.inner().compensated.insert((saga, step));
            }
            Direction::Forward if self.inner().compensated.contains(&(saga, step.clone())) => {
                self.violation(|| format!("{step} of {name} goes forward after its compensation"));
            }
            Direction::Forward if now > deadline => {
                self.violation(|| format!("{step} of {name} goes forward after its deadline"));
            }
            Direction::Forward => {}
        }
    }

    fn faulty_until(&self, process: &str, until: Instant) {
        let mut inner = self.inner();
        let last = inner.last_fault.entry(process.to_owned()).or_insert(until);
        *last = until.max(*last);
    }

    fn check_letter(&self, letter: &DeadLetter) {
        let delivery = delivery_of(letter);
        self.story
            .record(|| format!("a dead letter of {}: {}, {}", letter.queue, letter.code, letter.reason));
        self.inner().set_aside.insert(set_aside(&letter.queue, &delivery));
        self.check_set_aside(&letter.queue, &delivery, &letter.code, &letter.reason);
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }
}
