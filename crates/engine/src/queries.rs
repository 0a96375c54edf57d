//! What the admin API reads: sagas, lists, counts, and what happens from now on.

pub(crate) mod counts;
pub mod feed;
pub mod search;
pub mod view;
