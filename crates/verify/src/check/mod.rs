//! The checks of a definition before it is registered.
//!
//! The crate `definition` compiles a text and reports what is wrong with it alone. This module runs the cross-definition checks
//! and the model check. It is pure.

mod children;
mod cross_definition;
mod exhaustive;
mod starts;
mod timing;
pub mod topology;

use std::sync::Arc;

use crate::model_check::{Bounds, ModelCheck};
use snorri_definition::{Compiled, Diagnostics};

/// The result of the checks.
#[derive(Debug)]
pub struct Checked {
    /// Errors prevent the registration, warnings do not.
    pub findings: Diagnostics,
    /// The result of the model check.
    pub model_check: ModelCheck,
}

/// Runs all checks on `compiled`. `others` are the other definitions, without this one.
pub fn check(compiled: &Compiled, others: &[Arc<Compiled>], bounds: &Bounds) -> Checked {
    let mut findings = compiled.findings.clone();
    findings.extend(cross_definition::twin(compiled, others));
    findings.extend(starts::check(compiled));
    findings.extend(timing::check(compiled, others));
    findings.extend(children::check(compiled, others));
    findings.extend(cross_definition::check(compiled, others));
    let model_check = exhaustive::check_model(compiled, others, bounds);
    findings.extend(exhaustive::findings(compiled, others, &model_check));
    findings.extend(exhaustive::stranded_parents(compiled, others));
    Checked { findings, model_check }
}
