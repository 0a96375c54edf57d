//! The admin API: axum on tower. It translates between HTTP and the engine and decides nothing.
//!
//! A request passes the layers of the `server`, then the guard of its route (`routes`: role, query, limits), then its handler
//! (`handlers`, one file for each kind of resource). The types of bodies and queries are in `snorri_api`; `docs/openapi.json`
//! describes the whole API.

mod auth;
mod caller;
mod connection;
mod dto;
mod extract;
mod handlers;
mod openapi;
mod options;
mod problem;
mod readiness;
mod roles;
mod route_limits;
mod routes;
mod state;

pub use auth::{hash, random};
pub use caller::Caller;
pub use connection::entrance::Entrance;
pub use connection::server::{Error, Server};
pub use openapi::document::document;
pub use options::Options;
pub use readiness::Readiness;
pub use roles::Role;
pub use state::Api;
