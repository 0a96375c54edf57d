//! What a user runs on definitions before they go into production: the model check, scenarios and simulations.

mod model_check;
mod scenarios;
mod simulation;
#[path = "../cli/terminal.rs"]
mod terminal;
