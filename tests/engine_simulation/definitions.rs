//! The definitions of the simulation: together they use all features of the engine.

use std::sync::Arc;

use snorri_definition::Compiled;

const SOURCES: [&str; 6] = [
    include_str!("definitions/order.yaml"),
    include_str!("definitions/trip.yaml"),
    include_str!("definitions/payment.yaml"),
    include_str!("definitions/deposit.yaml"),
    include_str!("definitions/digest.yaml"),
    include_str!("definitions/ping.yaml"),
];

/// All definitions, compiled once for all runs.
pub fn compile() -> Vec<Arc<Compiled>> {
    let compile = |source: &str| {
        Arc::new(
            snorri_definition::compile("simulated.yaml", source).unwrap_or_else(|wrong| panic!("{wrong}")),
        )
    };
    SOURCES.into_iter().map(compile).collect()
}
