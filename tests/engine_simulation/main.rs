//! Simulation of the whole engine: several replicas on one thread, in time that passes only when nobody has anything to do.
//!
//! Everything is real but the services: lanes, outbox, publishers, timers, intake, children, schedules, shutdown, on a store
//! and a broker in memory. `testkit` has every call of a port fail, hang, be lost or kill its process (`fate`), participants
//! answer late, twice or not at all (`participants`), messages come twice or broken (`clients`), and people interfere
//! (`operators`). `watch` looks at every call, `ending` at what is left. A run follows from its seed alone.
//!
//! `SNORRI_SIMULATION_SEEDS` is how many seeds are run, or `from..to`.

mod clients;
mod definitions;
mod ending;
mod fate;
mod operators;
mod participants;
mod replica;
mod run;
mod shrink;
mod story;
mod watch;
mod wire;
mod world;

use std::ops::Range;

use run::{Plan, run};

/// How many seeds are run unless it is said otherwise.
const SEEDS: u64 = 200;

#[test]
fn nothing_goes_wrong_that_may_not() {
    hush_planned_panics();
    let compiled = definitions::compile();
    let seeds = seeds();
    let began = tokio::time::Instant::now();
    // A survey counts the seeds that fail, and does not stop at the first.
    let is_survey = std::env::var_os("SNORRI_SIMULATION_SURVEY").is_some();
    let mut failed = 0;
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let plan = Plan { seed, ..Plan::default() };
        let violations = run(&plan, &compiled).violations;
        if let Some(first) = violations.first() {
            assert!(is_survey, "{}", shrink::explain(&plan, &compiled));
            println!("seed {seed}: {first}");
            failed += 1;
        }
    }
    println!("{failed} of {count} seeds failed, in {:.1?}", began.elapsed());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    hush_planned_panics();
    let compiled = definitions::compile();
    for seed in 0..20 {
        let plan = Plan { seed, is_recorded: true, ..Plan::default() };
        let (one, other) = (run(&plan, &compiled), run(&plan, &compiled));
        let differs = one.events.iter().zip(&other.events).position(|(one, other)| one != other);
        if let Some(at) = differs {
            panic!("seed {seed}, event {at}:\n{}\n{}", one.events[at], other.events[at]);
        }
        assert_eq!(one, other, "seed {seed}");
    }
}

/// The seeds to run.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("SNORRI_SIMULATION_SEEDS") else { return 0..SEEDS };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("`{text}` is not a number of seeds"));
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}

/// A planned panic is no news.
fn hush_planned_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_planned = panic.payload_as_str().is_some_and(|text| text.starts_with("planned: "));
        if !is_planned {
            usual(panic);
        }
    }));
}
