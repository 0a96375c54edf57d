//! Connections and what they may ask for: the listener, limits, bodies.

pub(in crate::http) mod body;
pub(in crate::http) mod connections;
pub(in crate::http) mod entrance;
pub(in crate::http) mod limits;
pub(in crate::http) mod server;
