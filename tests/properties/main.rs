//! Properties of the core, over random definitions of the whole language, random inputs and a random network.
//!
//! Two worlds: one in which anything at all arrives in any order (`anything`), and one with honest participants
//! (idempotent by message id, tolerant of a compensation that comes before its action) behind a network that loses, repeats and
//! reorders (`honest`). `definitions` draws what is run, `saga` has the invariants that hold after each input.
//! `values` has no network: whatever JSON is accepted can be read everywhere.
//!
//! `SNORRI_PROPERTY_CASES` sets how many runs each world has.

mod agreement;
mod anything;
mod definitions;
mod honest;
mod saga;
mod values;

use proptest::prelude::ProptestConfig;

fn config() -> ProptestConfig {
    let cases = std::env::var("SNORRI_PROPERTY_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(4_000), ..ProptestConfig::default() }
}
