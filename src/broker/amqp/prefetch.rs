//! How many messages the broker sends ahead. Pure bookkeeping.
//!
//! RabbitMQ counts messages, not bytes, and sends as many as it may whatever their size. So a consumer begins with few, and
//! changes the number with the average size of what it gets.

/// Bytes of bodies that one consumer holds and has not handed over, about.
const BUDGET_BYTES: usize = 16 * 1024 * 1024;
/// Messages of a consumer that does not know their size yet.
const FIRST: u16 = 32;
/// Deliveries after a change before the next one.
const SAMPLES: u32 = 16;
/// How many deliveries the average is over, about.
const WEIGHT: usize = 16;

#[derive(Debug)]
pub(super) struct Prefetch {
    most: u16,
    current: u16,
    average: usize,
    /// Deliveries since the last change.
    seen: u32,
}

impl Prefetch {
    /// At most `most` messages.
    pub(super) fn new(most: u16) -> Self {
        let most = most.max(1);
        Self { most, current: most.min(FIRST), average: 0, seen: 0 }
    }

    pub(super) fn current(&self) -> u16 {
        self.current
    }

    /// A body of this size came in.
    pub(super) fn observe(&mut self, bytes: usize) {
        self.average = match self.average {
            0 => bytes,
            average => (average * (WEIGHT - 1) + bytes) / WEIGHT,
        };
        self.seen = self.seen.saturating_add(1);
    }

    /// The number to change to, if it is worth it. It counts as changed.
    pub(super) fn change(&mut self) -> Option<u16> {
        let fits = u16::try_from(BUDGET_BYTES / self.average.max(1)).unwrap_or(u16::MAX);
        let target = fits.clamp(1, self.most);
        let is_far = target <= self.current / 2 || target / 2 >= self.current;
        if self.seen < SAMPLES || !is_far {
            return None;
        }
        (self.current, self.seen) = (target, 0);
        Some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(prefetch: &mut Prefetch, count: u32, bytes: usize) -> Option<u16> {
        (0..count).for_each(|_| prefetch.observe(bytes));
        prefetch.change()
    }

    #[test]
    fn small_messages_get_all_that_is_allowed() {
        let mut prefetch = Prefetch::new(2_000);
        assert_eq!(prefetch.current(), FIRST);
        assert_eq!(after(&mut prefetch, SAMPLES - 1, 300), None, "their size is not known for sure");
        assert_eq!(after(&mut prefetch, 1, 300), Some(2_000));
        assert_eq!(after(&mut prefetch, 100, 0), None);
    }

    #[test]
    fn large_messages_fit_the_budget() {
        let mut prefetch = Prefetch::new(2_000);
        assert_eq!(after(&mut prefetch, SAMPLES, 1 << 20), Some(16));
        assert_eq!(after(&mut prefetch, SAMPLES, 1 << 20), None);
        assert_eq!(after(&mut prefetch, 200, 100 << 20), Some(1), "one is taken however large it is");
        assert_eq!(after(&mut prefetch, 400, 1_000), Some(2_000), "and back");
    }

    #[test]
    fn a_small_limit_stays() {
        let mut prefetch = Prefetch::new(1);
        assert_eq!((prefetch.current(), after(&mut prefetch, 100, 10)), (1, None));
        assert_eq!(Prefetch::new(0).current(), 1);
    }
}
