//! The number of messages that the broker sends ahead. Pure bookkeeping.
//!
//! RabbitMQ counts messages, not bytes, and sends as many as it may whatever their size. So a consumer begins with as many as
//! fit whatever their size, because longer ones are cut on arrival, and gets more while they are small on average.

/// Approximate bytes of bodies that one consumer holds and has not handed over.
const BUDGET_BYTES: usize = 16 * 1024 * 1024;
/// The least messages of a consumer, whatever their size: of 256 KiB, after which they are cut.
const LEAST: u16 = 64;
/// Deliveries after a change before the next one.
const SAMPLES: u32 = 16;
/// The approximate number of deliveries in the average.
const WEIGHT: usize = 16;

#[derive(Debug)]
pub(super) struct Prefetch {
    least: u16,
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
        let least = most.min(LEAST);
        Self { least, most, current: least, average: 0, seen: 0 }
    }

    /// The number of messages that fit whatever their size.
    pub(super) fn least(&self) -> u16 {
        self.least
    }

    /// Records the size of a received body.
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
        let target = fits.clamp(self.least, self.most);
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
        assert_eq!(prefetch.least(), LEAST);
        assert_eq!(after(&mut prefetch, SAMPLES - 1, 300), None, "their size is not known for sure");
        assert_eq!(after(&mut prefetch, 1, 300), Some(2_000));
        assert_eq!(after(&mut prefetch, 100, 0), None);
    }

    #[test]
    fn large_messages_fit_the_budget() {
        let mut prefetch = Prefetch::new(2_000);
        assert_eq!(after(&mut prefetch, SAMPLES, 1 << 16), Some(256));
        assert_eq!(after(&mut prefetch, SAMPLES, 1 << 16), None);
        assert_eq!(
            after(&mut prefetch, 400, 1 << 18),
            Some(LEAST),
            "all of them fit, however many there are"
        );
        assert_eq!(after(&mut prefetch, 400, 1_000), Some(2_000), "and back");
    }

    #[test]
    fn a_small_limit_stays() {
        let mut prefetch = Prefetch::new(1);
        assert_eq!((prefetch.least(), after(&mut prefetch, 100, 10)), (1, None));
        assert_eq!(Prefetch::new(0).least(), 1);
    }
}
