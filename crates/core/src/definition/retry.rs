//! The due time of the next attempt of a command: a policy as data, and one pure function over it.

use std::time::Duration;

use uuid::Uuid;

/// How often a command is tried, and how long the waits between attempts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// All attempts, the first included; at least 1.
    pub attempts: u32,
    /// The longest wait before the second attempt; it doubles with every further one.
    pub first: Duration,
    /// The longest wait of all.
    pub most: Duration,
}

impl Retry {
    /// Whether another attempt is left after `tried` of them.
    pub fn allows_another(&self, tried: u32) -> bool {
        tried < self.attempts
    }

    /// The wait after attempt number `attempt` (from 1): between half of the exponential backoff and all of it, drawn from
    /// `seed` and `attempt`, so that the same saga always waits the same time and different sagas do not retry together.
    /// ("Equal jitter" of M. Brooker, "Exponential Backoff and Jitter", AWS, 2015.)
    pub fn delay(&self, attempt: u32, seed: Uuid) -> Duration {
        let jitter = Uuid::new_v5(&seed, &attempt.to_be_bytes()).as_u64_pair().0;
        self.longest(attempt).mul_f64(0.5 + 0.5 * unit_interval(jitter))
    }

    /// The longest sum of all waits between its attempts.
    pub fn longest_waits(&self) -> Duration {
        (1..self.attempts).map(|attempt| self.longest(attempt)).sum()
    }

    fn longest(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }
}

/// The highest 53 bits of `bits` as a number in [0, 1).
fn unit_interval(bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let numerator = (bits >> 11) as f64;
    numerator / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry =
        Retry { attempts: 5, first: Duration::from_millis(200), most: Duration::from_secs(3) };

    #[test]
    fn delays_double_up_to_the_most_and_stay_within_their_jitter() {
        let seed = Uuid::from_u128(7);
        for (attempt, longest) in [(1, 200), (2, 400), (3, 800), (4, 1600), (5, 3000), (60, 3000)] {
            let delay = RETRY.delay(attempt, seed).as_millis();
            assert!((longest / 2..=longest).contains(&delay), "attempt {attempt}: {delay} ms");
            assert_eq!(delay, RETRY.delay(attempt, seed).as_millis());
        }
    }

    #[test]
    fn all_waits_together_have_a_longest_time() {
        assert_eq!(RETRY.longest_waits(), Duration::from_secs(3));
        assert_eq!(Retry { attempts: 1, ..RETRY }.longest_waits(), Duration::ZERO);
        assert_eq!(Retry { attempts: 7, ..RETRY }.longest_waits(), Duration::from_secs(9));
    }

    #[test]
    fn sagas_do_not_come_back_together() {
        let delays: std::collections::HashSet<_> =
            (0..100).map(|n| RETRY.delay(5, Uuid::from_u128(n))).collect();
        assert!(delays.len() > 95, "{} different delays of 100", delays.len());
    }
}
