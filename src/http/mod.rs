//! The admin API: axum on tower. It translates between HTTP and the engine and decides nothing.
//!
//! A request passes the layers of the `server`, then the guard of its route (`routes`: role, query, limits), then its handler
//! (`handlers`, one file for each kind of thing). What goes over the wire is in [`api`](crate::api); `docs/openapi.json` has
//! all of it.

mod auth;
mod body;
mod caller;
mod connections;
mod convert;
mod convert_records;
mod docs;
mod document;
mod entrance;
mod extract;
mod handlers;
mod limits;
mod links;
mod openapi;
mod options;
mod problem;
mod readiness;
mod roles;
mod routes;
mod server;

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::saga::MAX_PAYLOAD_BYTES;
pub use auth::{hash, random};
pub use caller::Caller;
pub use document::document;
pub use entrance::Entrance;
pub use options::Options;
pub use readiness::Readiness;
pub use roles::Role;
pub use server::{Error, Server};

/// Largest body of a request: a saga's input and what is around it.
const MAX_BODY_BYTES: usize = MAX_PAYLOAD_BYTES + 16 * 1024;

/// What the handlers work with.
#[derive(Debug, Clone)]
pub struct Api {
    pub engine: Engine,
    pub readiness: Readiness,
    pub metrics: Arc<Registry>,
    /// Cancelled when the process shall stop: streams that would go on for ever end then.
    pub stopping: CancellationToken,
}
