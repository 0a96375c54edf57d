//! Snorri, a saga orchestrator for RabbitMQ.
//!
//! A functional core and a thin shell around it. The crates, in reading order:
//!
//! - `snorri_core`: the saga, its transition function, JSON and text; pure
//! - `snorri_definition`: compiles YAML into definitions, with diagnostics; pure
//! - `snorri_verify`: checks, model check, scenarios, simulation and graphs of definitions; pure
//! - `snorri_ports`: the ports for the store, the broker and the clock
//! - `snorri_engine`: receives inputs, decides, commits and acknowledges
//! - `snorri_store`, `snorri_broker`, `snorri_wire`: the adapters of the ports, and the format of messages
//! - `snorri_api`: the types of the admin API, shared by the server and the CLI
//!
//! This crate is the program:
//!
//! - [`http`] and [`cli`]: the admin API and the command line
//! - [`config`], [`telemetry`], [`crypto`]: settings, logs and the TLS provider
//! - [`startup`], [`shutdown`], [`app`]: waiting for unavailable parts at start and stop, and the wiring of all components

pub mod app;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod http;
pub mod shutdown;
pub mod startup;
pub mod telemetry;
