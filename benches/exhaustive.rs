//! `cargo bench --bench exhaustive`: the cost of the model check of a definition, and how it grows with the definition's size.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::ensure;
use snorri_verify::model_check::{Bounds, Surroundings, check_model};
use tokio::time::Instant;

/// The longest check of ten steps with a parallel block.
const MOST_OF_TEN: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    println!("{:<44} {:>5} {:>9} {:>10} {:>9}", "", "steps", "states", "decisions", "ms");
    for count in [2, 4, 6, 8, 10, 12] {
        measure(&format!("{count} commands in a row"), &[in_a_row(count)])?;
    }
    for (branches, steps) in [(2, 1), (2, 2), (2, 4), (3, 1), (3, 2), (3, 3), (4, 2)] {
        let block = parallel(branches, steps, false);
        measure(&format!("{branches} branches of {steps}, then a pivot"), &[block, pivot()])?;
    }
    for (branches, steps) in [(3, 2), (3, 3), (4, 2)] {
        let alike = parallel(branches, steps, true);
        measure(&format!("{branches} branches of {steps} that are alike, then a pivot"), &[alike, pivot()])?;
    }
    for count in [1, 2, 3] {
        measure(&format!("a list of items with {count} commands, then a pivot"), &[each(count), pivot()])?;
    }
    let ten = [in_a_row(2), parallel(3, 2, false), pivot(), after()];
    let took = measure("ten steps: 2, then 3 branches of 2, pivot, 1", &ten)?;
    ensure!(took < MOST_OF_TEN, "ten steps with a parallel block took {took:?}");
    Ok(())
}

/// Runs the check, and prints the number of states and the time.
fn measure(what: &str, blocks: &[String]) -> anyhow::Result<Duration> {
    let head = "saga: measured\nversion: 1\ntimeout: 1h\ndefaults: { exchange: shop }\nsteps:\n";
    let compiled = snorri_definition::compile("measured.yaml", &format!("{head}{}", blocks.concat()))?;
    let bounds = Bounds { states: 10_000_000, work: usize::MAX, ..Bounds::default() };
    let began = Instant::now();
    let model = check_model(&compiled.definition, &Surroundings::default(), &bounds);
    let took = began.elapsed();
    ensure!(model.violations.is_empty() && !model.is_cut, "{what}: {:?}", model.violations);
    let steps = compiled.definition.steps().len();
    let millis = took.as_secs_f64() * 1_000.0;
    println!("{what:<44} {steps:>5} {:>9} {:>10} {millis:>9.1}", model.states, model.transitions);
    Ok(took)
}

fn command(name: &str, more: &str) -> String {
    format!("{{ name: {name}, command: do.{name}, compensate: {{ command: compensate.{name} }}{more} }}")
}

fn in_a_row(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, step| {
        writeln!(text, "  - {}", command(&format!("row{step}"), "")).unwrap_or_default();
        text
    })
}

/// Branches that are alike, or that differ in what follows a timeout and in the timeouts.
fn parallel(branches: usize, steps: usize, alike: bool) -> String {
    let mut text = "  - parallel:\n".to_owned();
    for branch in 0..branches {
        for step in 0..steps {
            let dash = if step == 0 { "      - - " } else { "        - " };
            let more = match (alike, branch % 3) {
                (true, _) | (_, 0) => "",
                (_, 1) => ", on_timeout: unknown",
                _ => ", on_timeout: hold",
            };
            let attempts = if alike || branch < 3 { "" } else { ", retry: { attempts: 1 }" };
            let name = format!("b{branch}s{step}");
            writeln!(text, "{dash}{}", command(&name, &format!("{more}{attempts}"))).unwrap_or_default();
        }
    }
    text
}

fn each(count: usize) -> String {
    let steps = (0..count).map(|step| format!("      - {}\n", command(&format!("item{step}"), "")));
    format!(
        "  - name: items\n    for_each: ${{ input.items }}\n    concurrency: 2\n    steps:\n{}",
        steps.collect::<String>()
    )
}

fn pivot() -> String {
    "  - { name: pivot, command: do.pivot, pivot: true }\n".to_owned()
}

fn after() -> String {
    "  - { name: after, command: do.after }\n".to_owned()
}
