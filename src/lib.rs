//! Snorri, a saga orchestrator for RabbitMQ.
//!
//! A functional core and a thin shell around it. In reading order:
//!
//! - [`saga`]: what a saga is and what follows from what; pure
//! - [`proof`]: everything that can happen to a definition's sagas, tried; pure
//! - [`catalog`]: YAML to definitions, with diagnostics
//! - [`check`]: what else is held against definitions before they run; pure
//! - [`scenario`]: runs definitions in virtual time, as scenario files say; pure
//! - [`graph`]: definitions as pictures; pure
//! - [`simulation`]: thousands of sagas with faults, in virtual time; pure
//! - [`json`] and [`text`]: what is accepted from outside, and what is shown; pure
//! - [`engine`]: takes inputs in, decides, commits, acknowledges
//! - [`store`] and [`broker`]: the two ports, and what stands behind them
//! - [`api`]: what goes over the wire between the two that follow
//! - [`http`] and [`cli`]: how people see and steer it
//! - [`config`], [`addresses`], [`telemetry`], [`crypto`]: settings, logs, and what TLS computes with
//! - [`startup`], [`shutdown`], [`app`]: waiting for what is away, at the start and at the end, and the wiring of it all

pub mod addresses;
pub mod api;
pub mod app;
pub mod broker;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod engine;
pub mod graph;
pub mod http;
pub mod json;
pub mod proof;
pub mod saga;
pub mod scenario;
pub mod shutdown;
pub mod simulation;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod text;
