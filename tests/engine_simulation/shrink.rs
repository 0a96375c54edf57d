//! Shrinks a failing run, and prints its story.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use snorri_definition::Compiled;

use crate::run::{Plan, Result, run};
use crate::story;

/// Most runs for shrinking one.
const MAX_RUNS: usize = 400;

/// The story of the smallest run that fails in the same way.
pub fn explain(plan: &Plan, compiled: &[Arc<Compiled>]) -> String {
    let failed = |plan: &Plan| Some(run(plan, compiled)).filter(|result| !result.violations.is_empty());
    let spared = shrink(plan, failed);
    let smallest = run(&Plan { spared, is_recorded: true, ..plan.clone() }, compiled);
    let mut text = format!("seed {}\n", plan.seed);
    let _ = writeln!(text, "what happened:\n{}", story::text(&smallest.events));
    let _ = writeln!(text, "with these misfortunes, and no others:\n{}", story::text(&smallest.misfortunes));
    let _ = writeln!(text, "what is wrong:\n{}", story::text(&smallest.violations));
    let _ = write!(text, "to repeat it: SNORRI_SIMULATION_SEEDS={0}..{1}", plan.seed, plan.seed + 1);
    text
}

/// The misfortunes that can be left out while the run still fails: half of them at once, then fewer and fewer.
fn shrink(plan: &Plan, failed: impl Fn(&Plan) -> Option<Result>) -> BTreeSet<String> {
    let mut spared = plan.spared.clone();
    let Some(mut current) = failed(plan) else { return spared };
    let mut size = current.misfortunes.len().div_ceil(2);
    let mut runs = 0;
    while size > 0 {
        let mut from = 0;
        let mut has_shrunk = false;
        while from < current.misfortunes.len() && runs < MAX_RUNS {
            let to = (from + size).min(current.misfortunes.len());
            let mut more = spared.clone();
            more.extend(current.misfortunes[from..to].iter().cloned());
            runs += 1;
            match failed(&Plan { spared: more.clone(), is_recorded: false, ..plan.clone() }) {
                Some(smaller) => {
                    (spared, current, has_shrunk) = (more, smaller, true);
                }
                None => from = to,
            }
        }
        if runs >= MAX_RUNS {
            break;
        }
        if size > 1 || !has_shrunk {
            size /= 2;
        }
    }
    spared
}
