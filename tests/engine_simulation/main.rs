//! Simulation of the whole engine: several replicas on one thread, in time that passes only when all tasks are idle.
//!
//! Everything is real but the services: lanes, outbox, publishers, timers, intake, children, schedules, shutdown, on a store
//! and a broker in memory. `testkit` has every call of a port fail, hang, be lost or kill its process (`fate`), participants
//! answer late, twice or not at all (`participants`), messages arrive twice or broken (`clients`), and operators interfere
//! (`operators`). `watch` checks every call, `ending` the final state. A run follows from its seed alone.
//!
//! `SNORRI_SIMULATION_SEEDS` is the number of seeds, or `from..to`; `SNORRI_SIMULATION_REPORT` is what to do about a seed that
//! fails: `story`, `first` or `count`.

mod acks;
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

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use run::{Plan, run};
use snorri_definition::Compiled;
use tokio::time::Instant;

/// The default number of seeds.
const SEEDS: u64 = 400;

#[test]
fn nothing_goes_wrong_that_may_not() {
    hush_planned_panics();
    let (compiled, report, seeds) = (definitions::compile(), Report::from_env(), seeds());
    let (began, count) = (Instant::now(), seeds.end - seeds.start);
    let failed = run_all(seeds, &compiled, !matches!(report, Report::Count));
    if let Some((seed, first)) = failed.first() {
        match report {
            Report::Story => {
                panic!("{}", shrink::explain(&Plan { seed: *seed, ..Plan::default() }, &compiled))
            }
            Report::First => panic!("seed {seed}: {first}"),
            Report::Count => failed.iter().for_each(|(seed, first)| println!("seed {seed}: {first}")),
        }
    }
    println!("{} of {count} seeds failed, in {:.1?}", failed.len(), began.elapsed());
}

/// Runs these seeds on all cores, each on one thread. Returns those that failed, each with its first violation; or, if `stops`,
/// at least one of them if there is one.
fn run_all(seeds: Range<u64>, compiled: &[Arc<Compiled>], stops: bool) -> Vec<(u64, String)> {
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || (stops && !failed.lock().expect("unpoisoned").is_empty()) {
                        return;
                    }
                    let violations = run(&Plan { seed, ..Plan::default() }, compiled).violations;
                    let first = violations.into_iter().next();
                    failed.lock().expect("unpoisoned").extend(first.map(|first| (seed, first)));
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("unpoisoned");
    failed.sort_unstable();
    failed
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

/// What to do about a seed that fails.
#[derive(Debug, Clone, Copy)]
enum Report {
    /// Shrink it and print its story.
    Story,
    /// Print its violations, at once.
    First,
    /// Print its violations, and run the other seeds.
    Count,
}

impl Report {
    fn from_env() -> Self {
        match std::env::var("SNORRI_SIMULATION_REPORT").as_deref() {
            Ok("first") => Self::First,
            Ok("count") => Self::Count,
            Ok(other) if other != "story" => panic!("`{other}` is neither `story`, `first` nor `count`"),
            _ => Self::Story,
        }
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

/// A planned panic is not printed.
fn hush_planned_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_planned = panic.payload_as_str().is_some_and(|text| text.starts_with("planned: "));
        if !is_planned {
            usual(panic);
        }
    }));
}
