//! Random draws that depend only on the seed, the run and their subject.

use std::f64::consts::TAU;
use std::str::FromStr;
use std::time::Duration;

use fastrand::Rng;
use snorri_definition::duration::parse_duration;
use uuid::Uuid;

/// The half-width of the middle 90% of a normal distribution, in standard deviations.
const NINETY_PERCENT: f64 = 1.644_853_627;

/// The source of random numbers of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    seed: u64,
}

impl Chance {
    pub fn of(seed: u64, run: u64) -> Self {
        Self { seed: mixed(mixed(seed) ^ run) }
    }

    /// The generator for one subject: always the same for the same subject.
    pub fn about(self, what: &str) -> Rng {
        // FNV-1a.
        let hash = what.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Rng::with_seed(mixed(self.seed ^ hash))
    }

    pub fn id(self) -> Uuid {
        Uuid::from_u64_pair(self.seed, mixed(self.seed))
    }
}

/// Mixes the bits of a number, so that adjacent numbers become unrelated ones.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The distribution of a duration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// Log-normal: 90% of all are between these two, most of them nearer to the first.
    Usual(Duration, Duration),
    Even(Duration, Duration),
    Always(Duration),
    Never,
}

impl Spread {
    pub(super) fn draw(self, rng: &mut Rng) -> Option<Duration> {
        // Both numbers are drawn for every distribution, so that later draws stay the same.
        let (one, other) = (rng.f64(), rng.f64());
        match self {
            Self::Never => None,
            Self::Always(duration) => Some(duration),
            Self::Even(least, most) => Some(least + most.saturating_sub(least).mul_f64(one)),
            Self::Usual(least, most) => {
                let (low, high) = (logarithm(least), logarithm(most));
                // Box and Muller.
                let normal = (-2.0 * (1.0 - one).ln()).sqrt() * (TAU * other).cos();
                let millis = (low.midpoint(high) + normal * (high - low) / (2.0 * NINETY_PERCENT)).exp();
                Some(Duration::from_millis(whole(millis)))
            }
        }
    }
}

fn logarithm(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).max(0.01).ln()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration in milliseconds")]
fn whole(millis: f64) -> u64 {
    millis.round().min(1e15) as u64
}

impl FromStr for Spread {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = |text: &str| {
            parse_duration(text)
                .map_err(|error| format!("`{text}` is not a duration such as 20ms, 5s or 2h: {error}"))
        };
        if text == "never" {
            return Ok(Self::Never);
        }
        let (is_even, range) = match text.strip_prefix("uniform:") {
            Some(range) => (true, range),
            None => (false, text),
        };
        let Some((least, most)) = range.split_once("..") else { return Ok(Self::Always(duration(range)?)) };
        let (least, most) = (duration(least)?, duration(most)?);
        if least > most {
            return Err(format!("`{range}` begins after it ends"));
        }
        Ok(if is_even { Self::Even(least, most) } else { Self::Usual(least, most) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_of_ten_are_within_the_range() {
        let spread: Spread = "20ms..300ms".parse().expect("a range");
        let mut rng = Rng::with_seed(1);
        let within = (0..10_000)
            .filter_map(|_| spread.draw(&mut rng))
            .filter(|drawn| (20..=300).contains(&drawn.as_millis()))
            .count();
        assert!((8_850..9_150).contains(&within), "{within} of 10000");
    }

    #[test]
    fn an_invalid_range_is_reported() {
        for text in ["fast", "3s..1s", "uniform:1..2", ""] {
            assert!(text.parse::<Spread>().is_err(), "{text}");
        }
    }
}
