//! Checks of definitions before they run. Pure.
//!
//! - [`check`]: checks of a definition alone, against the other definitions, and against the topology of the broker
//! - [`model_check`]: the model check, an exhaustive exploration of a definition
//! - [`scenario`]: runs the scenarios of a definition in virtual time
//! - [`simulation`]: runs thousands of sagas with faults, in virtual time
//! - [`graph`]: draws definitions

pub mod check;
pub mod graph;
pub mod model_check;
pub mod scenario;
pub mod simulation;

mod virtual_time;
