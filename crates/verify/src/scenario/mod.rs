//! `snorri test`: runs the scenarios of definitions on the real core in virtual time.
//!
//! A scenario has the input of a saga, stubs of participants, other events, and expectations. It is run by
//! [`transition`](snorri_core::transition()), the same function as in production, with a virtual clock that jumps to the next
//! event. The module is pure: it turns text into observations.
//!
//! ```text
//! order.test.yaml -> decode (all problems at once) -> Suite -> world (one run each) -> Observed
//!                                                     Observed -> expect (differences), coverage, update
//! ```
//!
//! - [`script`]: the content of a file
//! - `decode`, `start`, `stubs`, `scripted_event`, `expected`: decode a file
//! - [`world`], `participants`: run a scenario
//! - [`expect`]: compares expected and observed values
//! - [`coverage`]: finds the outcomes of steps that no scenario tried
//! - [`update`]: writes observed values into the file

pub mod coverage;
mod decode;
pub mod expect;
mod participants;
pub mod script;
pub mod update;
pub mod world;
mod yaml;

pub use coverage::Coverage;
pub use decode::{definition_of, read};
pub use expect::Section;
pub use script::{Scenario, Suite};
pub use update::{Updated, updated};
pub use world::{Observed, run};
