//! The rules of the house, held by reading the source.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file.
const MOST_LINES: usize = 400;

/// What a part that is pure must not know.
const IMPURE: &[&str] = &[
    "tokio",
    "async ",
    "std::time::Instant",
    "SystemTime",
    "std::fs",
    "std::net",
    "tracing",
    "crate::broker",
    "crate::store",
    "crate::engine",
    "crate::http",
    "crate::cli",
    "crate::app",
];

/// A part of the program, and the words that must not occur in its code.
const FORBIDDEN: [(&str, &[&str]); 12] = [
    (
        "saga",
        &[
            "tokio",
            "async ",
            "std::time::Instant",
            "SystemTime",
            "rand::",
            "std::fs",
            "std::net",
            "tracing",
            "Utc::now",
            "Local::now",
            "crate::broker",
            "crate::store",
            "crate::engine",
            "crate::http",
            "crate::catalog",
            "crate::cli",
            "crate::app",
        ],
    ),
    (
        "catalog",
        &["tokio", "async ", "crate::broker", "crate::store", "crate::engine", "crate::http", "crate::cli"],
    ),
    ("broker", &["crate::store", "crate::http", "crate::engine", "crate::cli", "crate::app"]),
    ("store", &["crate::broker", "crate::http", "crate::engine", "crate::cli", "crate::app"]),
    ("http", &["crate::broker", "crate::store", "crate::cli", "crate::app"]),
    ("engine", &["crate::http", "crate::cli", "crate::app", "crate::config"]),
    ("proof", IMPURE),
    ("proof", &["crate::catalog", "crate::check"]),
    ("check", IMPURE),
    ("scenario", IMPURE),
    ("graph", IMPURE),
    ("simulation", IMPURE),
];

/// A library, and the only part that may use it.
const CONFINED: [(&str, &str); 4] =
    [("lapin", "broker/amqp"), ("sea_orm", "store/sql"), ("axum", "http"), ("clap", "cli")];

/// What only `app` constructs.
const CONSTRUCTORS: [&str; 4] =
    ["SqlStore::connect(", "AmqpBroker::connect(", "LocalBroker::new(", "Engine::spawn("];

#[test]
fn parts_do_not_know_what_they_must_not_know() {
    for (part, words) in FORBIDDEN {
        for (path, code) in sources(part) {
            for word in words {
                assert!(!code.contains(word), "{} must not know `{word}`", path.display());
            }
        }
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    for (path, code) in sources("") {
        for (library, home) in CONFINED {
            let uses = code.contains(&format!("{library}::")) || code.contains(&format!("use {library}"));
            let is_main = path.ends_with("main.rs");
            let at_home = path.starts_with(root().join(home)) || (library == "clap" && is_main);
            assert!(!uses || at_home, "{} uses {library}, which belongs to {home}", path.display());
        }
    }
}

#[test]
fn only_app_constructs_components() {
    for (path, code) in sources("") {
        for constructor in CONSTRUCTORS {
            let allowed = path.ends_with("app.rs");
            assert!(
                !code.contains(constructor) || allowed,
                "{} constructs with {constructor}",
                path.display()
            );
        }
    }
}

#[test]
fn there_are_no_statics() {
    for (path, code) in sources("") {
        let code = code.replace("#[global_allocator]\nstatic ", "");
        let found =
            code.lines().find(|line| line.trim_start().trim_start_matches("pub ").starts_with("static "));
        assert!(found.is_none(), "{}: {found:?}", path.display());
    }
}

#[test]
fn files_have_one_subject() {
    for (path, code) in all_sources("") {
        let lines = code.lines().count();
        assert!(
            lines <= MOST_LINES,
            "{} has {lines} lines: is there more than one subject in it?",
            path.display()
        );
    }
    let main = fs::read_to_string(root().join("main.rs")).expect("main.rs");
    assert!(main.lines().count() <= 60, "main.rs only hands over");
}

#[test]
fn every_file_says_what_it_is_about() {
    for (path, code) in all_sources("") {
        assert!(code.starts_with("//!"), "{} does not begin with a word about itself", path.display());
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of a part, without comments and without their unit tests.
fn sources(part: &str) -> Vec<(PathBuf, String)> {
    let code = |text: String| {
        let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
        let lines = text[..tests].lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    all_sources(part).into_iter().map(|(path, text)| (path, code(text))).collect()
}

fn all_sources(part: &str) -> Vec<(PathBuf, String)> {
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
