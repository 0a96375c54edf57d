//! The budget of an evaluation.
//!
//! It is counted in steps and bytes and never in time, so that every process decides alike, whatever it runs on. The limits
//! are chosen so that an evaluation that uses all of them takes less than 50 ms and 16 MiB (`cargo bench --bench definitions`).

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::pattern::Pattern;

/// Most steps of rendering one template, all its expressions together. One step is at most 200 ns: an operator, a call or a
/// name that is evaluated, two values that are copied or compared, or 128 bytes of text that are read.
pub const MAX_STEPS: u64 = 200_000;
/// Most bytes of the values that one expression makes, together with what the template has rendered before it.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of text that are read in one step.
const TEXT_BYTES_PER_STEP: u64 = 128;

/// What is used of a budget.
///
/// A budget belongs to one evaluation, and so to one thread. The counters are atomic because CEL's values must be `Sync`.
/// What is used up stays used up: an operator such as `||` may absorb the error, so [`Budget::check`] has the last word.
#[derive(Debug, Default)]
pub struct Budget {
    steps: AtomicU64,
    bytes: AtomicU64,
    patterns: Mutex<HashMap<String, Arc<Pattern>>>,
}

/// The limit that an evaluation went beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::saga) enum Exceeded {
    Steps,
    Bytes,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps => write!(f, "the evaluation takes more than {MAX_STEPS} steps")?,
            Self::Bytes => write!(f, "the evaluation makes values of more than {MAX_BYTES} bytes")?,
        }
        f.write_str(": shorten the lists or texts, or let a participant compute it")
    }
}

impl Budget {
    pub(in crate::saga) fn spend(&self, steps: u64) -> Result<(), Exceeded> {
        add(&self.steps, steps);
        self.check()
    }

    /// Counts bytes of values that are made, and the steps of making them.
    pub(in crate::saga) fn make(&self, size: Size) -> Result<(), Exceeded> {
        add(&self.bytes, size.bytes);
        self.spend(size.steps())
    }

    /// Counts values that are copied to be compared, or to make an error of them, and are gone right after: that takes three
    /// times as long as a copy.
    pub(in crate::saga) fn make_for_now(&self, size: Size) -> Result<(), Exceeded> {
        let before = self.bytes();
        self.make(size)?;
        self.release_to(before);
        self.spend(size.steps().saturating_mul(2))
    }

    /// Counts a text that is read.
    pub(in crate::saga) fn read(&self, bytes: usize) -> Result<(), Exceeded> {
        self.spend(bytes as u64 / TEXT_BYTES_PER_STEP)
    }

    /// Whether all is within the limits.
    pub(in crate::saga) fn check(&self) -> Result<(), Exceeded> {
        if self.bytes() > MAX_BYTES {
            return Err(Exceeded::Bytes);
        }
        if self.steps.load(Ordering::Relaxed) > MAX_STEPS { Err(Exceeded::Steps) } else { Ok(()) }
    }

    pub(in crate::saga) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// After an expression: of what was made only `bytes` are left.
    pub(in crate::saga) fn release_to(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// The compiled pattern that the data brought. Each is compiled once for a budget, and counted.
    pub(in crate::saga) fn pattern(&self, source: &str) -> Result<Arc<Pattern>, String> {
        let mut patterns = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pattern) = patterns.get(source) {
            return Ok(Arc::clone(pattern));
        }
        let weight = Pattern::weigh(source)?;
        add(&self.bytes, weight.compiled_bytes());
        self.spend(weight.compiling_steps()).map_err(|exceeded| exceeded.to_string())?;
        let pattern = Arc::new(Pattern::compile(source, weight)?);
        patterns.insert(source.to_owned(), Arc::clone(&pattern));
        Ok(pattern)
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).saturating_add(more), Ordering::Relaxed);
}

/// The size of a value in memory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::saga) struct Size {
    /// How many values it is made of.
    pub(in crate::saga) values: u64,
    /// About how many bytes it takes.
    pub(in crate::saga) bytes: u64,
}

impl Size {
    /// How many steps it takes to copy or to compare it.
    pub(in crate::saga) fn steps(self) -> u64 {
        self.values.div_ceil(2).saturating_add(self.bytes / 1024)
    }
}

impl std::ops::Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            values: self.values.saturating_add(other.values),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), |sum, size| sum + size)
    }
}
