//! Simulates thousands of sagas of one definition in virtual time, with participants that fail at given rates.
//!
//! The real core makes the decisions; only the participants are simulated. There is no clock and no global source of random
//! numbers: every draw depends on the seed, the run and its subject only, so a run can be repeated, and two plans that differ in
//! one rate have the same draws everywhere else.
//!
//! ```text
//! Plan -> World (one run: saga::transition, a queue in virtual time) -> Tally (of many runs) -> Report
//! ```

mod chance;
mod compare;
pub mod example;
mod histogram;
mod mistakes;
mod observe;
mod plan;
mod render;
mod report;
mod schema;
mod table;
mod tally;
mod wants;
mod world;

pub use chance::Spread;
pub use compare::comparison;
pub use histogram::Bucket;
pub use plan::{Faults, Plan, Rate, Rates, Spreads};
pub use render::text;
pub use report::{CauseReport, Durations, EndReport, Report, StepReport, report};
pub use tally::{Cause, StepTally, Tally};

use std::ops::Range;

/// Simulates these runs of the plan. The tallies of several ranges can be added in any order.
pub fn simulate(plan: &Plan, runs: Range<u64>) -> Tally {
    let mut tally = Tally::default();
    runs.for_each(|run| world::run(plan, run, &mut tally));
    tally
}
