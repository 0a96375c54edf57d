//! Thousands of sagas of one definition, with participants that fail as often as is said, in virtual time.
//!
//! It is the real core that decides; only who answers it is made up. Nothing here knows the time or rolls dice of its own: every
//! draw follows from the seed, the run and what it is about, so that a run can be repeated, and two plans that differ in one rate
//! have the same luck in all else.
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
mod report;
mod table;
mod tally;
mod tell;
mod wants;
mod world;

pub use chance::Spread;
pub use compare::comparison;
pub use histogram::Bucket;
pub use plan::{Faults, Plan, Rate, Rates, Spreads};
pub use report::{CauseReport, Durations, EndReport, Report, StepReport, report};
pub use tally::{Cause, StepTally, Tally};
pub use tell::text;

use std::ops::Range;

/// What becomes of these runs of the plan. Whoever adds the tallies of all its runs up has the whole, in whatever order.
pub fn simulate(plan: &Plan, runs: Range<u64>) -> Tally {
    let mut tally = Tally::default();
    runs.for_each(|run| world::run(plan, run, &mut tally));
    tally
}
