//! `snorri test`: scenarios beside definitions, run on the real core in virtual time.
//!
//! A scenario gives a saga its input and says what participants answer and what else happens; then it says what it expects.
//! It is run by [`transition`](crate::saga::transition()), the very function that decides in production, with a clock that
//! jumps to whatever comes next. All of it is pure: text comes in, what happened comes out.
//!
//! ```text
//! order.test.yaml -> decode (all mistakes at once) -> Suite -> world (one run each) -> Observed
//!                                                     Observed -> expect (what differs), coverage, update
//! ```
//!
//! - [`script`]: what a file says
//! - `decode`, `start`, `given`, `when`, `expected`: how it is read
//! - [`world`], `participants`: how it is run
//! - [`expect`]: what was expected and what was got, in the same words
//! - [`coverage`]: which outcomes of which steps no scenario tried
//! - [`update`], `listed`: what really happened, written into the file

pub mod coverage;
mod decode;
pub mod expect;
mod expected;
mod fields;
mod given;
mod listed;
mod participants;
pub mod script;
mod start;
pub mod update;
mod when;
pub mod world;
mod yaml;

pub use coverage::Coverage;
pub use decode::{definition_of, read};
pub use expect::Section;
pub use script::{Scenario, Suite};
pub use update::{Updated, updated};
pub use world::{Observed, run};
