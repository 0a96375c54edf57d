//! Expressions that cannot work as their schemas are, and unusual ones that can.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use snorri::catalog::{self, Compiled};

/// Each is told what stands beside it; its codes are those on its first line.
#[test]
fn mistakes_in_types_are_told() {
    let files = files("tests/mistakes");
    assert!(files.len() >= 12, "{} mistakes", files.len());
    for path in files {
        let (first, compiled) = compile(&path);
        let found: BTreeSet<_> =
            compiled.findings.list.iter().map(|finding| finding.code.to_owned()).collect();
        let expected = first.strip_prefix("# finds: ").expect("the codes on the first line").split(", ");
        assert_eq!(found, expected.map(str::to_owned).collect(), "{}", path.display());
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("mistakes");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a stem");
        settings.bind(|| insta::assert_snapshot!(stem, compiled.findings.plain()));
    }
}

#[test]
fn unusual_expressions_are_told_nothing() {
    let files = files("tests/unusual");
    assert!(files.len() >= 5, "{} unusual definitions", files.len());
    for path in files {
        let findings = compile(&path).1.findings;
        assert!(findings.list.is_empty(), "{findings}");
    }
}

#[test]
fn the_definitions_that_ship_have_no_findings() {
    for source in catalog::read_directory(directory("sagas")).expect("the definitions") {
        let compiled = catalog::compile_with("a definition", &source.text, &source.files).expect("compiles");
        assert!(compiled.findings.list.is_empty(), "{}", compiled.findings);
    }
}

fn directory(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files(path: &str) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let is_ours = |name: String| name.starts_with("types_") && name.ends_with(".yaml");
    let entries = std::fs::read_dir(directory(path)).expect("a directory");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| name(path).is_some_and(is_ours));
    files.sort();
    files
}

fn compile(path: &Path) -> (String, Compiled) {
    let text = std::fs::read_to_string(path).expect("a file");
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let first = text.lines().next().unwrap_or_default().to_owned();
    (first, catalog::compile(name, &text).expect("compiles in spite of its findings"))
}
