//! Flow control: how many commands to one destination are unanswered at once, and which wait until there is room.
//!
//! A participant that is sent more than it handles answers everything too late, and each retry makes that worse. So every
//! destination (exchange and routing key) has a window: a command beyond it waits, without using an attempt, in turns with the
//! commands of other sagas. The window shrinks when replies are missing although others arrive: to what the participant has
//! answered in the time of one attempt (J. Little, "A Proof for the Queuing Formula: L = λW", 1961). It grows again with the
//! replies, as in V. Jacobson, "Congestion Avoidance and Control", 1988. If nothing at all is answered, the participant is not
//! slow but absent: its commands time out as defined.
//!
//! Pure bookkeeping: no clock and no IO. Commands that wait here are in the store's outbox, too. They are kept in memory only
//! while their rows are reserved for this process; afterwards the process that claims the row sends the command.

pub mod conclusion;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::outbox::confirmed::{OutboxMessage, Place};
use crate::outbox::flow::conclusion::{CommandKey, Conclusion, key_of};
use snorri_core::message::Command;
use snorri_core::{Message, SagaId, Time};

/// Most commands that wait in memory, of all destinations.
const MAX_WAITING: usize = 20_000;
/// The share of what was answered in the time of one attempt that may be unanswered after a cut.
const HEADROOM: f64 = 0.8;
/// By how many commands a window grows each time as many as it holds were answered.
const GROWTH: f64 = 4.0;
/// How long a destination rests after it did not take a command. It doubles up to the longest.
const REST_FIRST: Duration = Duration::from_millis(250);
const REST_MOST: Duration = Duration::from_secs(5);

/// The shortest time between two warnings about a destination without a queue.
const WARNING_INTERVAL: Duration = Duration::from_secs(30);

/// An exchange and a routing key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    pub exchange: Arc<str>,
    pub routing_key: Arc<str>,
}

/// All windows of a process.
#[derive(Debug)]
pub struct Flow {
    limit: usize,
    /// Ordered, so that a repeated run sends waiting commands in the same order.
    windows: BTreeMap<Destination, Window>,
    unanswered: HashMap<CommandKey, Unanswered>,
    waiting: usize,
    /// Commands that wait here no longer and were not sent.
    dropped: Vec<Place>,
    /// Whether a destination did not take a command lately.
    any_rested: bool,
}

#[derive(Debug)]
struct Unanswered {
    destination: Destination,
    since: Time,
    deadline: Time,
}

#[derive(Debug)]
struct Window {
    /// How many commands may be unanswered: at least 1.
    allowed: f64,
    unanswered: usize,
    /// Since when `answered` is counted.
    counted_since: Time,
    answered: u32,
    /// The earliest time of the next cut.
    next_cut: Time,
    /// Nothing is sent before this, after a command was not taken.
    rests_until: Time,
    rest: Duration,
    /// The last warning that no queue takes the commands of this destination.
    warned_at: Option<Time>,
    /// The sagas with waiting commands, each once, the next one first.
    turns: VecDeque<SagaId>,
    waiting: HashMap<SagaId, VecDeque<WaitingCommand>>,
}

#[derive(Debug)]
struct WaitingCommand {
    unsent: OutboxMessage,
    /// When the reservation of its row is about to expire.
    until: Time,
}

impl Flow {
    /// At most `limit` commands to one destination are unanswered.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            windows: BTreeMap::new(),
            unanswered: HashMap::new(),
            waiting: 0,
            dropped: Vec::new(),
            any_rested: false,
        }
    }

    /// Returns the messages that may be sent now. The others wait here, until `until` at most.
    pub fn admit(&mut self, messages: Vec<OutboxMessage>, now: Time, until: Time) -> Vec<OutboxMessage> {
        messages.into_iter().filter_map(|unsent| self.admit_one(unsent, now, until)).collect()
    }

    fn admit_one(&mut self, unsent: OutboxMessage, now: Time, until: Time) -> Option<OutboxMessage> {
        let Message::Command(command) = &*unsent.message else { return Some(unsent) };
        let key = key_of(command);
        if self.unanswered.contains_key(&key) {
            return Some(unsent); // sent again: it has a place already
        }
        let destination = Destination::of(command);
        let limit = self.limit;
        let window = self.windows.entry(destination.clone()).or_insert_with(|| Window::new(limit, now));
        if window.turns.is_empty() && window.has_room(now) {
            window.unanswered += 1;
            self.unanswered.insert(key, Unanswered::new(command, destination, now));
            return Some(unsent);
        }
        let saga = command.saga;
        self.wait(&destination, saga, WaitingCommand { unsent, until });
        None
    }

    fn wait(&mut self, destination: &Destination, saga: SagaId, waiting: WaitingCommand) {
        let Some(window) = self.windows.get_mut(destination) else { return };
        if self.waiting >= MAX_WAITING {
            self.dropped.push(waiting.unsent.place);
        } else if window.wait(saga, waiting) {
            self.waiting += 1;
        }
    }

    /// Returns waiting commands that may be sent now. Those that waited too long are not among them.
    pub fn take_ready(&mut self, now: Time) -> Vec<OutboxMessage> {
        let mut ready = Vec::new();
        for (destination, window) in self.windows.iter_mut().filter(|(_, window)| !window.turns.is_empty()) {
            while window.has_room(now)
                && let Some(waiting) = window.next()
            {
                self.waiting -= 1;
                let Message::Command(command) = &*waiting.unsent.message else { continue };
                let key = key_of(command);
                if waiting.until <= now || self.unanswered.contains_key(&key) {
                    self.dropped.push(waiting.unsent.place);
                    continue;
                }
                window.unanswered += 1;
                self.unanswered.insert(key, Unanswered::new(command, destination.clone(), now));
                ready.push(waiting.unsent);
            }
        }
        ready
    }

    /// Takes the places of the commands that must not wait here any more, because there are too many, or because the
    /// reservation of their rows is about to expire.
    pub fn take_impatient(&mut self, now: Time) -> Vec<Place> {
        for window in self.windows.values_mut().filter(|window| !window.turns.is_empty()) {
            let given_up = window.give_up(now);
            self.waiting -= given_up.len();
            self.dropped.extend(given_up);
        }
        self.take_dropped()
    }

    /// Takes the places of the commands that were dropped since the last call.
    pub fn take_dropped(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.dropped)
    }

    /// Frees the place of a command. Returns whether another command waits for it.
    pub fn conclude(&mut self, key: &CommandKey, conclusion: Conclusion, now: Time) -> bool {
        let Some(sent) = self.unanswered.remove(key) else { return false };
        let Some(window) = self.windows.get_mut(&sent.destination) else { return false };
        window.unanswered = window.unanswered.saturating_sub(1);
        match conclusion {
            Conclusion::Answered => window.answered(self.limit),
            Conclusion::TimedOut => window.timed_out(sent.deadline.since(sent.since), now),
            Conclusion::NotTaken => {}
        }
        !window.turns.is_empty()
    }

    /// The broker did not take a command: it waits, and so do all others to this destination for a while.
    pub fn refuse(&mut self, unsent: OutboxMessage, now: Time, until: Time) {
        let Message::Command(command) = &*unsent.message else { return };
        let (saga, destination) = (command.saga, Destination::of(command));
        self.conclude(&key_of(command), Conclusion::NotTaken, now);
        let Some(window) = self.windows.get_mut(&destination) else { return };
        window.rests_until = now.after(window.rest);
        window.rest = (window.rest * 2).min(REST_MOST);
        self.any_rested = true;
        self.wait(&destination, saga, WaitingCommand { unsent, until });
    }

    /// The broker took these messages: their destinations no longer rest.
    pub fn taken(&mut self, messages: &[Arc<Message>]) {
        if !self.any_rested {
            return;
        }
        for message in messages {
            if let Message::Command(command) = &**message
                && let Some(window) = self.windows.get_mut(&Destination::of(command))
            {
                window.rest = REST_FIRST;
            }
        }
        self.any_rested = self.windows.values().any(|window| window.rest > REST_FIRST);
    }

    /// Whether a warning is due that no queue takes commands to this destination. Counts the warning as logged.
    pub fn take_warning(&mut self, destination: &Destination, now: Time) -> bool {
        let Some(window) = self.windows.get_mut(destination) else { return true };
        let take_warning = window.warned_at.is_none_or(|at| now.since(at) >= WARNING_INTERVAL);
        if take_warning {
            window.warned_at = Some(now);
        }
        take_warning
    }

    /// Forgets commands whose deadline has passed: another process has handled their replies or timeouts.
    pub fn forget_overdue(&mut self, now: Time) {
        let Self { unanswered, windows, .. } = self;
        unanswered.retain(|_, sent| {
            let stays = sent.deadline > now;
            if !stays && let Some(window) = windows.get_mut(&sent.destination) {
                window.unanswered = window.unanswered.saturating_sub(1);
            }
            stays
        });
    }

    /// At most `limit` commands that are unanswered as far as this process knows, while others wait for their places.
    pub fn in_the_way(&self, limit: usize) -> Vec<CommandKey> {
        let is_full = |sent: &Unanswered| {
            self.windows.get(&sent.destination).is_some_and(|window| !window.turns.is_empty())
        };
        self.unanswered
            .iter()
            .filter(|(_, sent)| is_full(sent))
            .map(|(key, _)| key.clone())
            .take(limit)
            .collect()
    }

    /// The number of waiting commands for each destination that was ever sent to.
    pub fn waiting(&self) -> impl Iterator<Item = (&Destination, usize)> {
        self.windows
            .iter()
            .map(|(destination, window)| (destination, window.waiting.values().map(VecDeque::len).sum()))
    }

    pub fn is_waiting(&self) -> bool {
        self.waiting > 0
    }
}

impl Unanswered {
    fn new(command: &Command, destination: Destination, now: Time) -> Self {
        Self { destination, since: now, deadline: now.after(command.deadline.since(command.sent_at)) }
    }
}

impl Window {
    fn new(limit: usize, now: Time) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a limit is far below 2^52")]
        let allowed = limit as f64;
        Self {
            allowed,
            unanswered: 0,
            counted_since: now,
            answered: 0,
            next_cut: now,
            rests_until: now,
            rest: REST_FIRST,
            warned_at: None,
            turns: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }

    fn has_room(&self, now: Time) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "it is far below 2^52")]
        let unanswered = self.unanswered as f64;
        unanswered + 1.0 <= self.allowed && self.rests_until <= now
    }

    /// Returns whether the command is new here. If it is not, its newer row is the one that is reserved.
    fn wait(&mut self, saga: SagaId, waiting: WaitingCommand) -> bool {
        let of_saga = self.waiting.entry(saga).or_default();
        let same = |other: &&mut WaitingCommand| other.unsent.place.message == waiting.unsent.place.message;
        if let Some(other) = of_saga.iter_mut().find(same) {
            *other = waiting;
            return false;
        }
        if of_saga.is_empty() {
            self.turns.push_back(saga);
        }
        of_saga.push_back(waiting);
        true
    }

    /// The next command of the saga whose turn it is.
    fn next(&mut self) -> Option<WaitingCommand> {
        let saga = self.turns.pop_front()?;
        let of_saga = self.waiting.get_mut(&saga)?;
        let next = of_saga.pop_front();
        if of_saga.is_empty() {
            self.waiting.remove(&saga);
        } else {
            self.turns.push_back(saga);
        }
        next
    }

    /// Removes the commands that have waited too long, and returns their places.
    fn give_up(&mut self, now: Time) -> Vec<Place> {
        let mut given_up = Vec::new();
        for waiting in self.waiting.values_mut() {
            waiting.retain(|command| {
                let stays = command.until > now;
                if !stays {
                    given_up.push(command.unsent.place);
                }
                stays
            });
        }
        if !given_up.is_empty() {
            self.waiting.retain(|_, waiting| !waiting.is_empty());
            self.turns.retain(|saga| self.waiting.contains_key(saga));
            // The order of a map differs from run to run.
            given_up.sort_unstable();
        }
        given_up
    }

    fn answered(&mut self, limit: usize) {
        self.answered = self.answered.saturating_add(1);
        #[expect(clippy::cast_precision_loss, reason = "a limit is far below 2^52")]
        let limit = limit as f64;
        self.allowed = (self.allowed + GROWTH / self.allowed).min(limit);
    }

    /// `patience` is how long the attempt was waited for.
    fn timed_out(&mut self, patience: Duration, now: Time) {
        if now < self.next_cut {
            return;
        }
        let counted = now.since(self.counted_since).as_secs_f64().max(0.001);
        if self.answered > 0 {
            let in_time = f64::from(self.answered) / counted * patience.as_secs_f64() * HEADROOM;
            self.allowed = in_time.min(self.allowed / 2.0).max(1.0);
        }
        (self.answered, self.counted_since, self.next_cut) = (0, now, now.after(patience));
    }
}

impl Destination {
    pub fn of(command: &Command) -> Self {
        Self { exchange: Arc::clone(&command.exchange), routing_key: Arc::clone(&command.name) }
    }
}

#[cfg(test)]
mod tests;
