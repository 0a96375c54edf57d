//! Checks the definitions that ship, as `snorri check` does, and prints a line for each code that is found in one.

use std::collections::BTreeSet;
use std::sync::Arc;

use snorri::catalog;
use snorri::check::check;
use snorri::proof::Bounds;

fn main() {
    let sources = catalog::read_directory("sagas").expect("the definitions that ship");
    let compile = |source: &catalog::Source| {
        Arc::new(catalog::compile("saga.yaml", &source.text).unwrap_or_else(|wrong| panic!("{wrong}")))
    };
    let all: Vec<_> = sources.iter().map(compile).collect();
    let mut found = BTreeSet::new();
    for compiled in &all {
        let beside: Vec<_> = all.iter().filter(|other| !Arc::ptr_eq(other, compiled)).cloned().collect();
        let checked = check(compiled, &beside, &Bounds::default());
        let name = &compiled.definition.name;
        found.extend(checked.findings.list.iter().map(|finding| format!("{} in {name}", finding.code)));
    }
    found.iter().for_each(|line| println!("{line}"));
}
