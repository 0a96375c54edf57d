//! The admin API from the outside: a running `snorri serve` on the embedded default.
//!
//! - [`access`]: every route with every role
//! - [`connections`]: silent and slow clients
//! - [`jwt`]: tokens of an issuer
//! - [`limits`]: limits of bodies and rates, and unknown names
//! - [`finding`]: starting, finding, watching and deleting sagas
//! - [`steering`]: interventions, single and in bulk
//! - [`settings`]: TLS, and rejected settings
//! - [`document`]: the OpenAPI document, the reference page, and the codes of problems
//! - [`process`]: the process under test

mod access;
mod connections;
mod document;
mod finding;
mod jwt;
mod limits;
mod process;
mod settings;
mod steering;
