//! Definitions: compiled, compared, checked, explained and drawn.

mod compiler;
mod diff;
mod explanations;
mod graph;
mod mistakes;
mod schema;
