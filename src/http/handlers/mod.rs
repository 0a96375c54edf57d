//! One handler for each route, one file for each kind of thing that routes are about.

mod process;
mod sagas;

use super::routes::Group;

/// All routes but those of the health.
pub(super) fn all() -> Group {
    sagas::routes().and(process::routes())
}

/// What is asked every few seconds, and must be answered also when nothing else is.
pub(super) fn health() -> Group {
    process::health()
}
