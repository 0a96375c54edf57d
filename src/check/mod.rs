//! All that is held against a definition before it runs.
//!
//! The catalog says whether a text is a definition, and what is wrong with it alone. Here it is looked at together with the
//! definitions beside it, and its sagas are run through everything that can happen to them. It is pure.

mod across;
mod children;
mod exhaustive;
mod starts;
mod timing;
pub mod topology;

use std::sync::Arc;

use crate::catalog::{Compiled, Diagnostics};
use crate::proof::{Bounds, Proof};

/// What was found.
#[derive(Debug)]
pub struct Checked {
    /// Errors keep it from being taken, warnings do not.
    pub findings: Diagnostics,
    /// What its sagas can come to.
    pub proof: Proof,
}

/// Holds everything against `compiled`. `beside` are the other definitions there are, this one not among them.
pub fn check(compiled: &Compiled, beside: &[Arc<Compiled>], bounds: &Bounds) -> Checked {
    let mut findings = compiled.findings.clone();
    findings.extend(across::twin(compiled, beside));
    findings.extend(starts::check(compiled));
    findings.extend(timing::check(compiled, beside));
    findings.extend(children::check(compiled, beside));
    findings.extend(across::check(compiled, beside));
    let proof = exhaustive::prove(compiled, beside, bounds);
    findings.extend(exhaustive::findings(compiled, beside, &proof));
    findings.extend(exhaustive::as_part(compiled, beside));
    Checked { findings, proof }
}
