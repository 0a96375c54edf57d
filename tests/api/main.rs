//! The admin API as whoever calls it sees it: a running `snorri serve` on the embedded default, and nothing else.
//!
//! - [`access`]: every route with every role
//! - [`connections`]: clients that say nothing, or speak slowly
//! - [`jwt`]: which tokens of an issuer count
//! - [`limits`]: bodies, rates, and what is not known
//! - [`finding`]: starting sagas, finding them, watching them, and what becomes of those that have ended
//! - [`steering`]: interventions, one by one and many at once
//! - [`settings`]: TLS, and what the process does not start with
//! - [`document`]: the OpenAPI, the reference page, and the codes of problems
//! - [`process`]: the process itself

mod access;
mod connections;
mod document;
mod finding;
mod jwt;
mod limits;
mod process;
mod settings;
mod steering;
