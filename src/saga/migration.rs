//! Whether a saga can go on with another version of its definition.

use super::definition::Definition;
use super::id::StepPath;
use super::state::State;

/// Why a saga cannot go on with another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Stable.
    pub code: &'static str,
    pub step: Option<StepPath>,
    pub message: String,
}

/// What stands in the way of going on with `to`, for a saga in `state` of `from`. Nothing: it is safe.
pub fn obstacles(from: &Definition, to: &Definition, state: &State) -> Vec<Obstacle> {
    let _ = state;
    if from.name == to.name {
        return Vec::new();
    }
    let message = format!("it is a saga of `{}`, not of `{}`", from.name, to.name);
    vec![Obstacle { code: "other_saga", step: None, message }]
}
