//! The admin API as whoever calls it sees it: a running `snorri serve` on the embedded default, and nothing else.
//!
//! - [`access`]: every route with every role
//! - [`jwt`]: which tokens of an issuer count
//! - [`limits`]: bodies, rates, and what is not known
//! - [`settings`]: TLS, and what the process does not start with
//! - [`document`]: the OpenAPI, the reference page, and the codes of problems
//! - [`process`]: the process itself

mod access;
mod document;
mod jwt;
mod limits;
mod process;
mod settings;
