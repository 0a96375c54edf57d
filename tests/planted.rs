//! Faults, planted in a copy of the source: the check of the shipped definitions, the tests, or the simulation of the engine
//! must find each.
//!
//! All are in one build, in which a variable enables each. Because of that build, `make planted` runs this, and `cargo test`
//! alone does not.

#[path = "planted/copy.rs"]
mod copy;
#[path = "planted/core.rs"]
mod core;
#[path = "planted/engine.rs"]
mod engine;
#[path = "planted/fault.rs"]
mod fault;

use copy::Copy;
use fault::{Fault, MODULE};

/// How many seeds may pass before a fault of the engine is found.
const SEEDS: u32 = 1_000;

/// The name of no fault.
const NONE: &str = "none";

#[test]
#[ignore = "builds the program once more: `make planted`"]
fn every_planted_fault_is_found() {
    let copy = planted();
    let missed = [checked(&copy), tested(&copy), simulated(&copy)].concat();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// A copy with all faults, each of which is disabled.
fn planted() -> Copy {
    let copy = Copy::new("planted");
    copy.add("crates/core/src/lib.rs", "\npub mod planted;\n");
    copy.write("crates/core/src/planted.rs", MODULE);
    let checked = core::CHECKED.iter().map(|(fault, _)| fault);
    let tested = core::TESTED.iter().map(|(fault, _)| fault);
    for Fault { file, right, wrong, .. } in checked.chain(tested).chain(&engine::FAULTS) {
        copy.replace(file, right, wrong);
    }
    copy
}

/// The faults that the check of the shipped definitions does not find.
fn checked(copy: &Copy) -> Vec<&'static str> {
    assert_eq!(copy.check(NONE), Vec::<String>::new(), "without a fault");
    let is_missed = |(fault, code): &&(Fault, &str)| {
        let found = copy.check(fault.name);
        println!("{}: {}", fault.what, found.join(", "));
        !found.iter().any(|found| found.starts_with(code))
    };
    core::CHECKED.iter().filter(is_missed).map(|(fault, _)| fault.name).collect()
}

/// The faults that the tests do not find.
fn tested(copy: &Copy) -> Vec<&'static str> {
    let is_missed = |(fault, tests): &&(Fault, &[&str])| {
        let found = copy.test(fault.name, tests);
        println!("{}: {found}", fault.what);
        !found.contains("FAILED")
    };
    core::TESTED.iter().filter(is_missed).map(|(fault, _)| fault.name).collect()
}

/// The faults that the simulation of the engine does not find.
fn simulated(copy: &Copy) -> Vec<&'static str> {
    // With it, all seeds are run for each, and their number shows how easily it is found.
    let counted = std::env::var("SNORRI_PLANTED_SEEDS").ok();
    let count = counted.clone().unwrap_or_else(|| SEEDS.to_string());
    let report = if counted.is_some() { "count" } else { "first" };
    let simulate = |name: &str, seeds: &str| {
        copy.simulate(name, &[("SNORRI_SIMULATION_SEEDS", seeds), ("SNORRI_SIMULATION_REPORT", report)])
    };
    let sound = simulate(NONE, "20");
    assert!(sound.is_ok(), "without a fault: {sound:?}");
    let is_missed = |fault: &&Fault| {
        let found = simulate(fault.name, &count);
        let result = found.as_ref().map_or_else(String::clone, String::clone);
        println!("{}: {}: {result}", fault.name, fault.what);
        found.is_ok()
    };
    engine::FAULTS.iter().filter(is_missed).map(|fault| fault.name).collect()
}
