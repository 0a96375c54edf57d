//! The explanations of diagnostics: every code has one, and its examples are correct.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use snorri_definition::Diagnostics;
use snorri_definition::diagnostic::explanation::{ExplanationPart, explain, explanations};
use snorri_verify::check::check;
use snorri_verify::model_check::Bounds;

#[test]
fn every_code_has_one_and_every_file_is_listed() {
    let listed: Vec<_> = explanations().map(|explanation| explanation.code.to_owned()).collect();
    assert!(listed.is_sorted(), "{listed:?}");
    let listed: BTreeSet<_> = listed.into_iter().collect();
    let files =
        fs::read_dir(root().join("crates/definition/src/diagnostic/explanations")).expect("the explanations");
    let files = files.map(|file| file.expect("a file").path().file_stem().expect("a name").to_owned());
    let files: BTreeSet<_> = files.map(|name| name.into_string().expect("UTF-8")).collect();
    let missing: Vec<_> = files.difference(&listed).collect();
    assert!(missing.is_empty(), "crates/definition/src/diagnostic/explanation.rs does not list {missing:?}");
    let missing: Vec<_> = codes().difference(&listed).cloned().collect();
    assert!(missing.is_empty(), "no file in crates/definition/src/diagnostic/explanations for {missing:?}");
    let unknown: Vec<_> = listed.difference(&codes()).cloned().collect();
    assert!(unknown.is_empty(), "crates/definition/src/diagnostic/code.rs does not have {unknown:?}");
}

#[test]
fn each_has_a_title_and_a_text() {
    for explanation in explanations() {
        let code = explanation.code;
        assert!(explanation.title.starts_with(char::is_uppercase), "{code}: {}", explanation.title);
        assert!(!explanation.title.ends_with('.'), "{code}: {}", explanation.title);
        assert!(explanation.text.len() > 200, "{code} is too short to help");
    }
}

#[test]
fn wrong_examples_have_the_explained_diagnostic() {
    for explanation in explanations() {
        for part in explanation.parts() {
            let ExplanationPart::Wrong(yaml) = part else { continue };
            let found = found(yaml);
            let codes: Vec<_> = found.list.iter().map(|diagnostic| diagnostic.code).collect();
            assert!(codes.contains(&explanation.code), "{}: {codes:?} in\n{yaml}", explanation.code);
            for found in found.list.iter().filter(|found| found.code == explanation.code) {
                let severity = format!("{:?}", found.severity).to_lowercase();
                let documented = explanation.severity;
                assert!(documented.contains(&severity), "{} is documented as {documented}", explanation.code);
            }
        }
    }
}

#[test]
fn right_examples_have_no_diagnostics() {
    for explanation in explanations() {
        for part in explanation.parts() {
            if let ExplanationPart::Right(yaml) = part {
                let found = found(yaml);
                assert!(found.list.is_empty(), "{}: {found}", explanation.code);
            }
        }
        let count =
            |is: fn(&ExplanationPart<'_>) -> bool| explanation.parts().iter().filter(|part| is(part)).count();
        let wrong = count(|part| matches!(part, ExplanationPart::Wrong(_)));
        let right = count(|part| matches!(part, ExplanationPart::Right(_)));
        assert_eq!(wrong, right, "{}: each wrong example has a right one", explanation.code);
    }
}

#[test]
fn a_code_is_found_in_any_spelling_and_a_similar_one_is_suggested() {
    for written in ["E0303", "e0303", "0303", "303", " E0303 "] {
        assert_eq!(explain(written).expect("known").code, "E0303", "{written}");
    }
    assert!(explain("E0333").is_err_and(|near| near.is_some()));
    assert_eq!(explain("nonsense"), Err(None));
}

#[test]
fn the_table_in_checks_md_is_complete() {
    let path = root().join("docs/checks.md");
    let page = fs::read_to_string(&path).expect("the page");
    let row = |e: snorri_definition::diagnostic::explanation::Explanation| {
        format!("| {} | {} | {} |\n", e.code, e.title, e.severity)
    };
    let rows: String = explanations().map(row).collect();
    let (before, table) = page.split_once("| --- | --- | --- |\n").expect("a table");
    let length: usize =
        table.lines().take_while(|line| line.starts_with("| E")).map(|line| line.len() + 1).sum();
    if table[..length] != rows && std::env::var_os("SNORRI_UPDATE_CHECKS").is_some() {
        let page = format!("{before}| --- | --- | --- |\n{rows}{}", &table[length..]);
        return fs::write(path, page).expect("written");
    }
    assert_eq!(&table[..length], rows, "docs/checks.md: run this with SNORRI_UPDATE_CHECKS=1");
}

/// All diagnostics of a definition, from the compiler or the checks.
fn found(yaml: &str) -> Diagnostics {
    match snorri_definition::compile("definition.yaml", yaml) {
        Ok(compiled) => check(&compiled, &[], &Bounds::default()).findings,
        Err(diagnostics) => diagnostics,
    }
}

/// The codes in the source.
fn codes() -> BTreeSet<String> {
    let source =
        fs::read_to_string(root().join("crates/definition/src/diagnostic/code.rs")).expect("the codes");
    let constants = source.lines().filter(|line| line.starts_with("pub const"));
    constants.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}
