//! The budget of an evaluation.
//!
//! It counts steps and bytes and never time, so that every process decides alike, whatever it runs on. An evaluation that uses
//! all of both limits takes less than 50 ms and 16 MiB (`cargo bench --bench definitions`).

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::pattern::Pattern;

/// Most steps of rendering one template, all its expressions together. One step is at most 200 ns: an operator, a call or a
/// name that is evaluated, two values that are copied or compared, or 128 bytes of text that are read.
pub const MAX_STEPS: u64 = 200_000;
/// Most bytes of the values that one expression makes, together with what the template has rendered before it.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of text that are read in one step.
const TEXT_BYTES_PER_STEP: u64 = 128;

/// The used part of a budget.
///
/// A budget belongs to one evaluation, and so to one thread. The counters are atomic because CEL's values must be `Sync`.
/// Use is never given back: an operator such as `||` may absorb the error, so `Budget::check` decides at the end.
#[derive(Debug, Default)]
pub struct Budget {
    steps: AtomicU64,
    bytes: AtomicU64,
    patterns: Mutex<HashMap<String, Arc<Pattern>>>,
}

/// The limit that an evaluation exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
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
    pub(crate) fn spend(&self, steps: u64) -> Result<(), Exceeded> {
        add(&self.steps, steps);
        self.check()
    }

    /// Counts bytes of values that are made, and the steps of making them.
    pub(crate) fn make(&self, size: Size) -> Result<(), Exceeded> {
        add(&self.bytes, size.bytes);
        self.spend(size.steps())
    }

    /// Counts values that are copied for a comparison or an error, and are dropped right after: that takes three times as long
    /// as a copy.
    pub(crate) fn make_for_now(&self, size: Size) -> Result<(), Exceeded> {
        let before = self.bytes();
        self.make(size)?;
        self.release_to(before);
        self.spend(size.steps().saturating_mul(2))
    }

    /// Counts a text that is read.
    pub(crate) fn read(&self, bytes: usize) -> Result<(), Exceeded> {
        self.spend(bytes as u64 / TEXT_BYTES_PER_STEP)
    }

    /// Whether the use is within the limits.
    pub(crate) fn check(&self) -> Result<(), Exceeded> {
        if self.bytes() > MAX_BYTES {
            return Err(Exceeded::Bytes);
        }
        if self.steps.load(Ordering::Relaxed) > MAX_STEPS { Err(Exceeded::Steps) } else { Ok(()) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Called after an expression: of the values that it made only `bytes` are left.
    pub(crate) fn release_to(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// The compiled form of a pattern that came with the data. A budget compiles and counts each pattern once.
    pub(crate) fn pattern(&self, source: &str) -> Result<Arc<Pattern>, String> {
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
pub(crate) struct Size {
    /// The number of values in it.
    pub(crate) values: u64,
    /// Its approximate size in bytes.
    pub(crate) bytes: u64,
}

impl Size {
    /// The steps of copying or comparing it.
    pub(crate) fn steps(self) -> u64 {
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
