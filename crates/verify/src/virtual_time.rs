//! Sagas in virtual time: what is scheduled for them, and a clock that jumps from one event to the next.

use std::collections::{BTreeMap, BTreeSet};

use snorri_core::{Definition, Entry, Input, Message, Rejection, SagaId, State, Time, transition};

/// Some sagas, their timers, and events of the type `E` that are scheduled for them.
#[derive(Debug)]
pub(crate) struct VirtualTime<'a, E> {
    now: Time,
    sagas: Vec<(&'a Definition, State)>,
    /// By time, and then in the order in which they were scheduled.
    events: BTreeMap<(Time, u64), (usize, E)>,
    scheduled: u64,
    /// At most one of each saga.
    timers: BTreeSet<(Time, usize)>,
}

/// What happens to a saga next.
#[derive(Debug)]
pub(crate) enum Due<E> {
    Event(E),
    /// Its timer fires.
    Wake,
}

/// The consequences of an accepted input.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) entry: Entry,
    pub(crate) messages: Vec<Message>,
}

impl<'a, E> VirtualTime<'a, E> {
    pub(crate) fn new(now: Time) -> Self {
        Self { now, sagas: Vec::new(), events: BTreeMap::new(), scheduled: 0, timers: BTreeSet::new() }
    }

    /// Adds a saga that is not started yet, and returns its index.
    pub(crate) fn add(&mut self, definition: &'a Definition, id: SagaId) -> usize {
        self.sagas.push((definition, State::new(id)));
        self.sagas.len() - 1
    }

    pub(crate) fn find(&self, id: SagaId) -> Option<usize> {
        self.sagas.iter().position(|(_, state)| state.id == id)
    }

    pub(crate) fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn state(&self, saga: usize) -> &State {
        &self.sagas[saga].1
    }

    /// Schedules an event, at the earliest for now.
    pub(crate) fn schedule(&mut self, at: Time, saga: usize, event: E) {
        self.events.insert((at.max(self.now), self.scheduled), (saga, event));
        self.scheduled += 1;
    }

    /// Removes the scheduled events that `keep` refuses.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&E) -> bool) {
        self.events.retain(|_, (_, event)| keep(event));
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The time of the next event or timer.
    pub(crate) fn next_at(&self) -> Option<Time> {
        let event = self.events.keys().next().map(|(at, _)| *at);
        let timer = self.timers.first().map(|(at, _)| *at);
        event.into_iter().chain(timer).min()
    }

    /// Moves the clock, which never goes back.
    pub(crate) fn advance_to(&mut self, at: Time) {
        self.now = self.now.max(at);
    }

    /// Advances to the next event or timer. At the same time, an event comes before a timer: an answer that arrives at
    /// its deadline is in time.
    pub(crate) fn advance(&mut self) -> Option<(usize, Due<E>)> {
        let at = self.next_at()?;
        self.advance_to(at);
        if self.events.keys().next().is_some_and(|(first, _)| *first == at) {
            return self.events.pop_first().map(|(_, (saga, event))| (saga, Due::Event(event)));
        }
        self.timers.pop_first().map(|(_, saga)| (saga, Due::Wake))
    }

    /// Applies an input to a saga at the current time.
    ///
    /// # Errors
    /// The reason why it changes nothing.
    pub(crate) fn take(&mut self, saga: usize, input: &Input) -> Result<Applied, Rejection> {
        let (definition, state) = &mut self.sagas[saga];
        let decision = transition(definition, state, input, self.now)?;
        self.timers.extend(decision.state.wake.map(|at| (at, saga)));
        let before = std::mem::replace(state, decision.state).wake;
        if let Some(before) = before.filter(|_| before != state.wake) {
            self.timers.remove(&(before, saga));
        }
        Ok(Applied { entry: decision.entry, messages: decision.messages })
    }
}
