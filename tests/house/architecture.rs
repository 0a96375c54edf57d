//! The rules of the house: which crate may depend on which, held by Cargo, and how the source is cut into files.

#[path = "architecture/imports.rs"]
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use imports::Crate;
use serde_json::Value;

/// The crates, and those of ours that each may depend on.
const ARROWS: [(&str, &[&str]); 11] = [
    ("snorri-core", &[]),
    ("snorri-wire", &["snorri-core"]),
    ("snorri-definition", &["snorri-core"]),
    ("snorri-verify", &["snorri-core", "snorri-definition", "snorri-wire"]),
    ("snorri-api", &["snorri-core"]),
    ("snorri-ports", &["snorri-core", "snorri-wire"]),
    ("snorri-store", &["migrations", "snorri-core", "snorri-ports"]),
    ("snorri-broker", &["snorri-ports", "snorri-wire"]),
    ("snorri-engine", &["snorri-core", "snorri-definition", "snorri-ports", "snorri-verify", "snorri-wire"]),
    ("testkit", &["snorri-core", "snorri-ports", "snorri-wire"]),
    ("migrations", &[]),
];

/// Libraries, and the only crates that may use them.
const CONFINED: [(&str, &[&str]); 7] = [
    ("lapin", &["snorri-broker"]),
    ("sea-orm", &["snorri-store"]),
    ("axum", &["snorri"]),
    ("clap", &["snorri"]),
    ("utoipa", &["snorri", "snorri-api"]),
    ("tokio", &["snorri", "snorri-broker", "snorri-engine", "snorri-ports", "snorri-store", "testkit"]),
    ("tracing", &["snorri", "snorri-broker", "snorri-engine", "snorri-store"]),
];

/// Longest source file.
const MAX_LINES: usize = 400;

/// Most source files of a folder.
const MAX_FILES: usize = 15;

/// The names of types that each module may use for its own, as the standard library does.
const REPEATED: [&str; 3] = ["Args", "Error", "Options"];

/// What only `app` constructs.
const CONSTRUCTORS: [&str; 4] =
    ["SqlStore::connect(", "AmqpBroker::connect(", "LocalBroker::new(", "Engine::spawn("];

/// What a pure crate does not reach for in the standard library.
const IMPURE: [&str; 6] =
    ["std::time::Instant", "SystemTime", "std::net", "Utc::now", "Local::now", "async "];
const PURE: [&str; 4] = ["core", "definition", "verify", "wire"];

#[test]
fn crates_depend_only_on_those_below() {
    let found = dependencies();
    for (name, allowed) in ARROWS {
        let own = found[name].iter().filter(|other| found.contains_key(*other)).map(String::as_str);
        assert_eq!(own.collect::<BTreeSet<_>>(), allowed.iter().copied().collect(), "{name}");
    }
    assert_eq!(found.len(), ARROWS.len() + 1, "a crate that is not in the list");
}

#[test]
fn libraries_stay_where_they_belong() {
    for (name, dependencies) in dependencies() {
        for (library, homes) in CONFINED {
            let uses = dependencies.contains(library);
            assert!(
                !uses || homes.contains(&name.as_str()),
                "{name} uses {library}, which belongs to {homes:?}"
            );
        }
    }
}

#[test]
fn pure_crates_know_no_clock_and_no_network() {
    for name in PURE {
        for (path, code) in sources(&format!("crates/{name}/src")) {
            for word in IMPURE {
                assert!(!code.contains(word), "{} must not know `{word}`", path.display());
            }
        }
    }
}

#[test]
fn only_app_constructs_components() {
    for (path, code) in sources("src") {
        let constructed = CONSTRUCTORS.iter().find(|constructor| code.contains(*constructor));
        assert!(path.ends_with("app.rs") || constructed.is_none(), "{}: {constructed:?}", path.display());
    }
}

#[test]
fn there_are_no_statics() {
    for (path, code) in all().flat_map(|part| sources(&part)) {
        let code = code.replace("#[global_allocator]\nstatic ", "");
        let found =
            code.lines().find(|line| line.trim_start().trim_start_matches("pub ").starts_with("static "));
        assert!(found.is_none(), "{}: {found:?}", path.display());
    }
}

#[test]
fn files_have_one_subject() {
    for (path, text) in with_tests().flat_map(|part| texts(&part)) {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines: split it by subject", path.display());
        assert!(text.starts_with("//!"), "{} does not begin with a sentence about itself", path.display());
    }
    let main = fs::read_to_string(root().join("src/main.rs")).expect("main.rs");
    assert!(main.lines().count() <= 60, "main.rs only hands over");
}

#[test]
fn the_engine_is_a_set_of_services() {
    for (path, code) in sources("crates/engine/src") {
        let holds_all = code.contains("engine::Engine") || code.contains("impl Engine");
        let may = ["src/engine.rs", "src/intake.rs"].iter().any(|file| path.ends_with(file));
        assert!(!holds_all || may, "{}: a service takes what it needs, not the whole engine", path.display());
    }
}

#[test]
fn folders_are_small() {
    let mut counts: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for (path, _) in with_tests().flat_map(|part| texts(&part)) {
        *counts.entry(path.parent().expect("a folder").to_owned()).or_default() += 1;
    }
    let large: Vec<_> = counts.into_iter().filter(|(_, count)| *count > MAX_FILES).collect();
    assert!(large.is_empty(), "more than {MAX_FILES} files: {large:?}");
}

#[test]
fn imports_point_one_way() {
    for part in all() {
        let sources = sources(&part);
        let files = sources.iter().filter(|(path, _)| !is_test(path));
        let code = Crate::read(files.map(|(path, code)| {
            (path.strip_prefix(root().join(&part)).expect("below the crate"), code.as_str())
        }));
        assert_eq!(code.refused_circles(), [], "{part}: a circle of imports");
    }
}

#[test]
fn circles_are_found() {
    let refused = |files: &[(&str, &str)]| {
        Crate::read(files.iter().map(|(path, code)| (Path::new(path), *code))).refused_circles().len()
    };
    let message = ("message.rs", "use crate::envelope::header::CUT;");
    let header = ("envelope/header.rs", "pub const CUT: u8 = 1;");
    assert_eq!(
        refused(&[message, header, ("envelope.rs", "pub mod header;\nuse crate::message::Delivery;")]),
        0
    );
    let uses_message = ("envelope/header.rs", "use crate::{message, text};\nconst CUT: u8 = message::ONE;");
    assert_eq!(refused(&[message, uses_message]), 1, "between folders");
    assert_eq!(
        refused(&[("a.rs", "use super::b::{B, C as D};"), ("b.rs", "struct B(crate::a::A);")]),
        1,
        "siblings"
    );
    let reexporting = [
        ("lib.rs", "mod a;\nmod b;\npub use b::B;"),
        ("a.rs", "use crate::B;"),
        ("b.rs", "use crate::a::{self, A};"),
    ];
    assert_eq!(refused(&reexporting), 1, "through a file that exports the name again");
    let parent =
        [("a.rs", "mod b;\nstruct A(b::B);"), ("a/b.rs", "use super::A;"), ("a/c.rs", "use super::b::B;")];
    assert_eq!(refused(&parent), 0, "a file and its folder");
    let below = [("a.rs", "use b::c::C;"), ("a/b.rs", "mod c;"), ("a/b/c.rs", "use crate::a::A;")];
    assert_eq!(refused(&below), 1, "a file and a folder of its folder");
}

#[test]
fn a_type_has_a_name_of_its_own() {
    for part in all() {
        let mut homes: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for (path, code) in sources(&part).into_iter().filter(|(path, _)| !is_test(path)) {
            for name in code.lines().filter_map(defined_type) {
                homes.entry(name.to_owned()).or_default().push(path.clone());
            }
        }
        let repeated: Vec<_> = homes
            .into_iter()
            .filter(|(name, homes)| homes.len() > 1 && !REPEATED.contains(&name.as_str()))
            .collect();
        assert_eq!(repeated, [], "{part}: one name for several types");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a file has only tests.
fn is_test(path: &Path) -> bool {
    path.with_extension("").components().any(|part| part.as_os_str() == "tests")
}

/// The name of the type that a line defines. Those within a function or an `impl` are indented.
fn defined_type(line: &str) -> Option<&str> {
    let public = line.strip_prefix("pub").map(|rest| rest.trim_start_matches(|c| c != ' ').trim_start());
    let (word, rest) = public.unwrap_or(line).split_once(' ')?;
    let is_type = ["struct", "enum", "union", "trait", "type"].contains(&word);
    is_type.then(|| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())?
}

/// The packages of the workspace, and what each depends on, tests aside.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies").iter();
        all.filter(|dependency| dependency["kind"].is_null()).map(name).collect()
    };
    packages.map(|package| (name(package), normal(package))).collect()
}

fn name(value: &Value) -> String {
    value["name"].as_str().expect("a name").to_owned()
}

/// The directories of all sources of the program.
fn all() -> impl Iterator<Item = String> {
    let crates = fs::read_dir(root().join("crates")).expect("the crates");
    let names = crates.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    names.map(|name| format!("crates/{name}/src")).chain(["src".to_owned()])
}

/// The same, with the tests of the whole program.
fn with_tests() -> impl Iterator<Item = String> {
    all().chain(["tests".to_owned()])
}

/// The files of a directory, without comments and without their unit tests.
fn sources(part: &str) -> Vec<(PathBuf, String)> {
    let code = |text: String| {
        let tests = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
        let lines = text[..tests].lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    texts(part).into_iter().map(|(path, text)| (path, code(text))).collect()
}

fn texts(part: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(part)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {part}");
    found
}
