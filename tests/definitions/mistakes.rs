//! Definitions with the mistakes of users, each with its diagnostics, and unusual ones that are correct and have none.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use snorri_definition::{Compiled, Diagnostics, Source};
use snorri_verify::check::check;
use snorri_verify::model_check::Bounds;

/// The first line of a file without mistakes, in a folder where another one has some.
const NOTHING: &str = "nothing";

/// Each file of `tests/mistakes`, and each folder of definitions that are checked together, has the diagnostics in its snapshot;
/// the codes are those on its first line.
#[test]
fn mistakes_have_the_expected_diagnostics() {
    let directory = directory("tests/mistakes");
    let mut places: Vec<_> = fs::read_dir(&directory)
        .expect("the mistakes")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    places.sort();
    assert!(places.len() >= 25, "{} mistakes", places.len());
    let mut wrong = Vec::new();
    for place in places {
        let found = findings(&place);
        let mut text = String::new();
        for (expected, diagnostics) in found.iter().map(|(first, found)| (expected(first), found)) {
            let codes: BTreeSet<_> = diagnostics.list.iter().map(|it| it.code.to_owned()).collect();
            if codes != expected {
                wrong.push(format!("{}: finds {codes:?}, not {expected:?}\n", diagnostics.file));
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text += &diagnostics.plain();
        }
        assert!(!text.is_empty(), "nothing is found in {}", place.display());
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../mistakes");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let stem = place.file_stem().and_then(|stem| stem.to_str()).expect("a stem");
        settings.bind(|| insta::assert_snapshot!(stem, text));
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn unusual_definitions_have_no_diagnostics() {
    let found = findings(&directory("tests/unusual"));
    assert!(found.len() >= 10, "{} unusual definitions", found.len());
    assert_clean(&found);
}

#[test]
fn shipped_definitions_have_no_diagnostics() {
    assert_clean(&findings(&directory("sagas")));
}

fn assert_clean(found: &[(String, Diagnostics)]) {
    let text: String = found.iter().map(|(_, diagnostics)| diagnostics.plain()).collect();
    assert!(text.is_empty(), "{text}");
}

fn directory(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The diagnostics of a file, or of each file of a folder with the others in it; the first line of each.
fn findings(place: &Path) -> Vec<(String, Diagnostics)> {
    let sources = if place.is_dir() {
        snorri_definition::read_directory(place).expect("a folder of definitions")
    } else {
        vec![snorri_definition::read_definition(place).expect("a definition")]
    };
    let compiled: Vec<_> = sources.iter().map(compile).collect();
    let others_of = |own: usize| -> Vec<Arc<Compiled>> {
        let others = compiled.iter().enumerate().filter(|(index, _)| *index != own);
        others.filter_map(|(_, other)| other.as_ref().ok().cloned()).collect()
    };
    let bounds = Bounds::default();
    let found = compiled.iter().enumerate().map(|(index, compiled)| match compiled {
        Ok(compiled) => check(compiled, &others_of(index), &bounds).findings,
        Err(diagnostics) => diagnostics.clone(),
    });
    let firsts = sources.iter().map(|source| source.text.lines().next().unwrap_or_default().to_owned());
    firsts.zip(found).collect()
}

fn compile(source: &Source) -> Result<Arc<Compiled>, Diagnostics> {
    let name = source.path.file_name().and_then(|name| name.to_str()).expect("a name");
    snorri_definition::compile_with(name, &source.text, &source.files).map(Arc::new)
}

/// The codes on a file's first line: `# finds: E0303, E0401`.
fn expected(first: &str) -> BTreeSet<String> {
    let codes = first.strip_prefix("# finds: ").unwrap_or_else(|| panic!("`{first}` names no codes"));
    codes.split(", ").filter(|code| *code != NOTHING).map(str::to_owned).collect()
}
