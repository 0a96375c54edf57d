//! Checks the shipped definitions, as `snorri check` does, and prints a line for each code that it finds in one.

use std::collections::BTreeSet;
use std::sync::Arc;

use snorri_verify::check::check;
use snorri_verify::model_check::Bounds;

fn main() {
    let sources = snorri_definition::read_directory("sagas").expect("the definitions that ship");
    let compile = |source: &snorri_definition::Source| {
        Arc::new(snorri_definition::compile("saga.yaml", &source.text).unwrap_or_else(|wrong| panic!("{wrong}")))
    };
    let all: Vec<_> = sources.iter().map(compile).collect();
    let mut found = BTreeSet::new();
    for compiled in &all {
        let others: Vec<_> = all.iter().filter(|other| !Arc::ptr_eq(other, compiled)).cloned().collect();
        let checked = check(compiled, &others, &Bounds::default());
        let name = &compiled.definition.name;
        found.extend(checked.findings.list.iter().map(|finding| format!("{} in {name}", finding.code)));
    }
    found.iter().for_each(|line| println!("{line}"));
}
