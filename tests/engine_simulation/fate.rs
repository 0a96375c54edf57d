//! The misfortunes of a run: each has a name, so that it can be left out of the next run.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use testkit::{Call, Chance, Delays, Fault, Faults, Port};

use crate::story::Story;

/// The odds of a misfortune are out of this number.
const ALL: u32 = 10_000;

/// The longest outage of the store, in milliseconds: longer than the timeouts of commands.
const LONGEST_STORE_OUTAGE: u64 = 5_000;
/// The same of the broker: shorter than the reservations of messages of the outbox.
const LONGEST_BROKER_OUTAGE: u64 = 2_000;

/// A window that is never full.
pub const NO_WINDOW: usize = 1_000;

/// Draws every misfortune of a run from its seed.
#[derive(Debug)]
pub struct Fate {
    chance: Chance,
    climate: Climate,
    /// Misfortunes that do not happen this time.
    spared: BTreeSet<String>,
    struck: Mutex<Vec<String>>,
    is_calm: AtomicBool,
    story: Arc<Story>,
}

/// How often each kind of misfortune happens in a run, of 10,000 times. Many kinds do not happen at all in a run, so that a
/// fault that one kind hides is found by another run.
#[derive(Debug, Clone, Copy)]
pub struct Climate {
    /// Calls that fail, done or not.
    pub failures: u32,
    /// Calls that hang, connections that are lost, queues that are full.
    pub outages: u32,
    /// Calls in which a process dies.
    pub deaths: u32,
    /// Processes that are stopped in order, and started again.
    pub stops: u32,
    /// Calls that panic.
    pub panics: u32,
    /// Commands that a participant does not answer as it should.
    pub participants: u32,
    /// Refusals of participants.
    pub refusals: u32,
    /// Messages that come from outside twice, late, or broken.
    pub messages: u32,
    /// Sagas that an operator interferes with.
    pub operators: u32,
    /// Sagas that cannot be read for a while.
    pub poison: u32,
    /// Clocks that are wrong or jump.
    pub clocks: u32,
    /// Lanes of each replica.
    pub lanes: usize,
    /// Commands to one destination that are unanswered at once.
    pub window: usize,
    /// The longest a call takes to be done, and then to be answered, in milliseconds.
    pub slowest: u64,
}

impl Climate {
    fn of(chance: &Chance) -> Self {
        let mut rng = chance.of("climate");
        let mut odds = |choices: &[u32]| choices[rng.usize(..choices.len())];
        Self {
            failures: odds(&[0, 100, 400]),
            outages: odds(&[0, 30, 100]),
            deaths: odds(&[0, 10, 40]),
            stops: odds(&[0, 2_000, 8_000]),
            panics: odds(&[0, 0, 0, 15]),
            participants: odds(&[0, 1_000, 3_000]),
            refusals: odds(&[0, 500, 1_500]),
            messages: odds(&[0, 2_000, 5_000]),
            operators: odds(&[0, 0, 3_000, 8_000]),
            poison: odds(&[0, 0, 4_000]),
            clocks: odds(&[0, 0, 5_000]),
            lanes: if odds(&[0, 1]) == 0 { 1 } else { 2 },
            window: if odds(&[0, 1]) == 0 { 2 } else { NO_WINDOW },
            slowest: u64::from(odds(&[0, 3, 3, 20])),
        }
    }
}

impl Fate {
    pub fn new(seed: u64, spared: BTreeSet<String>, story: Arc<Story>) -> Self {
        let chance = Chance::new(seed);
        let climate = Climate::of(&chance);
        Self { chance, climate, spared, struck: Mutex::default(), is_calm: AtomicBool::new(false), story }
    }

    pub fn climate(&self) -> &Climate {
        &self.climate
    }

    /// Random numbers for something other than a misfortune.
    pub fn rng(&self, key: &str) -> Rng {
        self.chance.of(key)
    }

    /// Whether a misfortune happens, and the random numbers to choose it with.
    pub fn strikes(&self, key: &str, odds: u32) -> Option<Rng> {
        if odds == 0 || self.is_calm.load(Ordering::Relaxed) {
            return None;
        }
        let mut rng = self.chance.of(key);
        if rng.u32(..ALL) >= odds || self.spared.contains(key) {
            return None;
        }
        self.struck.lock().expect("unpoisoned").push(key.to_owned());
        Some(rng)
    }

    /// Whether something is decided permanently, calm or not. It counts as a misfortune only the first time.
    pub fn was_drawn(&self, key: &str, odds: u32) -> bool {
        let is_drawn = self.chance.of(key).u32(..ALL) < odds && !self.spared.contains(key);
        let mut struck = self.struck.lock().expect("unpoisoned");
        if is_drawn && !struck.iter().any(|other| other == key) {
            struck.push(key.to_owned());
        }
        is_drawn
    }

    /// Ends all misfortunes.
    pub fn calm(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
        self.story.record(|| "from now on nothing goes wrong".to_owned());
    }

    pub fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    /// The misfortunes so far.
    pub fn struck(&self) -> Vec<String> {
        self.struck.lock().expect("unpoisoned").clone()
    }
}

impl Faults for Fate {
    fn fault(&self, call: &Call<'_>) -> Fault {
        let Climate { failures, outages, deaths, panics, .. } = self.climate;
        let key = format!("{} {} {}", call.process, call.method, call.number);
        let Some(mut rng) = self.strikes(&key, failures + outages + deaths + panics) else {
            return Fault::None;
        };
        let drawn = rng.u32(..failures + outages + deaths + panics);
        let longest = if call.port == Port::Store { LONGEST_STORE_OUTAGE } else { LONGEST_BROKER_OUTAGE };
        let lasts = Duration::from_millis(rng.u64(100..longest));
        let is_second = rng.bool();
        if drawn < failures {
            return if is_second { Fault::FailAfter } else { Fault::Fail };
        }
        if drawn < failures + outages {
            return match rng.u32(..3) {
                0 => Fault::Hang(lasts),
                1 if call.port == Port::Broker && call.method == "publish" => Fault::Refuse,
                _ => Fault::LoseConnection(lasts),
            };
        }
        if drawn < failures + outages + deaths {
            return if is_second { Fault::DieAfter } else { Fault::Die };
        }
        Fault::Panic
    }

    fn delays(&self, call: &Call<'_>) -> Delays {
        let mut rng = self.chance.of(&format!("{} {} {} takes", call.process, call.method, call.number));
        let mut delay = || Duration::from_millis(rng.u64(..=self.climate.slowest));
        Delays { before: delay(), after: delay() }
    }
}
