//! Random numbers that depend on a seed and a key, and on nothing else.

use fastrand::Rng;

/// Draws from a seed. Each draw has a key, and draws of different keys are independent: leaving one out changes no other.
#[derive(Debug, Clone, Copy)]
pub struct Chance {
    seed: u64,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The random numbers for `key`.
    pub fn of(&self, key: &str) -> Rng {
        // FNV-1a, so that a seed gives the same numbers with every version of the standard library.
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325 ^ self.seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut rng = Rng::with_seed(hash ^ self.seed.rotate_left(32));
        // The first numbers of neighbouring seeds are similar.
        rng.u64(..);
        rng
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_and_key_alone() {
        let draw = |seed, key| Chance::new(seed).of(key).u64(..);
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }
}
