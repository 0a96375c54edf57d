//! One handler for each route, one file for each kind of thing that routes are about.

mod process;
mod sagas;

use super::routes::Group;

/// All routes.
pub(super) fn all() -> Group {
    sagas::routes().and(process::routes())
}
