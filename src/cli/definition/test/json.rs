//! The results of scenarios as JSON.

use serde_json::{Value, json};

use super::{Covered, FileReport, Run, TestReport};
use crate::cli::saga::render::JournalRenderer;
use snorri_verify::scenario::Section;

/// `{passed, failed, took_millis, files, coverage, broken, updated}`.
pub(super) fn document(report: &TestReport) -> Value {
    let failed = report.failed();
    json!({
        "passed": report.runs().count() - failed,
        "failed": failed,
        "took_millis": report.took.as_secs_f64() * 1000.0,
        "files": report.files.iter().map(file).collect::<Vec<_>>(),
        "coverage": report.covered.iter().map(covered).collect::<Vec<_>>(),
        "broken": report.broken,
        "updated": report.updated,
    })
}

fn file(file: &FileReport) -> Value {
    let definition = &file.compiled.definition;
    json!({
        "file": file.path,
        "definition": definition.name,
        "version": definition.version,
        "scenarios": file.runs.iter().map(|run| scenario(file, run)).collect::<Vec<_>>(),
    })
}

fn scenario(file: &FileReport, run: &Run) -> Value {
    let mut renderer = JournalRenderer::new(&file.compiled.definition);
    let lines = run.observed.entries.iter().flat_map(|entry| renderer.render_entry(entry));
    let plain = lines.map(|line| anstream::adapter::strip_str(&line).to_string());
    json!({
        "name": run.scenario.name,
        "passed": run.passes(),
        "updated": run.is_updated,
        "expects_something": run.scenario.expects_something(),
        "status": run.observed.status,
        "lasted_millis": run.observed.lasted.as_millis(),
        "took_millis": run.took.as_secs_f64() * 1000.0,
        "objections": run.observed.objections,
        "differences": run.differing.iter().map(difference).collect::<Vec<_>>(),
        "journal": plain.collect::<Vec<_>>(),
    })
}

fn difference(section: &Section) -> Value {
    json!({
        "key": section.key,
        "expected": section.expected.lines(section.key),
        "got": section.got.lines(section.key),
    })
}

fn covered(Covered { compiled, coverage }: &Covered) -> Value {
    let outcome = |outcome: &snorri_verify::scenario::coverage::Outcome| json!({ "step": outcome.step, "outcome": outcome.outcome, "tried_by": outcome.tried_by });
    json!({
        "definition": compiled.definition.name,
        "version": compiled.definition.version,
        "percent": coverage.percent(),
        "tried": coverage.tried(),
        "total": coverage.outcomes.len(),
        "outcomes": coverage.outcomes.iter().map(outcome).collect::<Vec<_>>(),
    })
}
