//! The words of the glossary: what `docs/banned.txt` lists occurs in no source file, test, document or shipped definition.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the words are held to.
const ROOTS: [&str; 12] = [
    "src",
    "crates",
    "tests",
    "benches",
    "fuzz/fuzz_targets",
    "migrations",
    "sagas",
    "deploy",
    "docs",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
];
const EXTENSIONS: [&str; 9] = ["rs", "md", "yaml", "yml", "toml", "json", "txt", "snap", "sh"];
/// The files that must name them.
const GLOSSARIES: [&str; 3] = ["docs/glossary.md", "docs/banned.txt", "tests/house/words.rs"];

#[test]
fn no_banned_word_occurs() {
    let banned = fs::read_to_string(root().join("docs/banned.txt")).expect("the list");
    let banned: Vec<&str> = banned.lines().collect();
    let files = ROOTS.iter().flat_map(|part| files(&root().join(part)));
    let found: Vec<String> = files.flat_map(|path| occurrences(&path, &banned)).collect();
    assert!(
        found.is_empty(),
        "{} banned words (docs/glossary.md has better ones):\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn words_are_found_within_names_and_across_lines() {
    let found = |text: &str, banned: &str| positions(text, banned).len();
    assert_eq!(found("fn said_twice() {} // Said.", "said"), 2);
    assert_eq!(found("retell untold sayson", "told"), 0);
    assert_eq!(found("it goes\n    /// on and goes on", "goes on"), 2);
    assert_eq!(found("value.is_none()", "is none"), 0);
}

/// `file:line: word`, for each.
fn occurrences(path: &Path, banned: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(path).expect("text");
    let name = path.strip_prefix(root()).expect("below the root").display().to_string();
    if GLOSSARIES.contains(&name.as_str()) {
        return Vec::new();
    }
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let of_word = |word: &&str| {
        positions(&text, word)
            .into_iter()
            .map(|at| format!("{name}:{}: {word}", line(at)))
            .collect::<Vec<_>>()
    };
    banned.iter().flat_map(of_word).collect()
}

/// Where a word or phrase begins, in bytes. An underscore ends a word, but does not stand for the space of a phrase; between the
/// words of a phrase may be the end of a line and the beginning of the next comment.
fn positions(text: &str, banned: &str) -> Vec<usize> {
    let is_phrase = banned.contains(' ');
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || (is_phrase && byte == b'_');
    let lower = text.to_ascii_lowercase();
    let bytes = lower.as_bytes();
    let words: Vec<&str> = banned.split(' ').collect();
    let begins = |at: usize| at == 0 || !is_letter(bytes[at - 1]);
    let matches = |at: &usize| {
        let mut end = *at;
        begins(*at)
            && words.iter().enumerate().all(|(index, word)| {
                let gap =
                    lower[end..].len() - lower[end..].trim_start_matches([' ', '\n', '/', '!', '#']).len();
                let start = if index == 0 { end } else { end + gap };
                end = start + word.len();
                (index == 0 || gap > 0)
                    && lower[start..].starts_with(word)
                    && bytes.get(end).is_none_or(|byte| !is_letter(*byte))
            })
    };
    lower.match_indices(words[0]).map(|(at, _)| at).filter(matches).collect()
}

/// The text files below a path, or the path itself.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).expect("a directory");
    let below = entries.flat_map(|entry| files(&entry.expect("an entry").path()));
    let is_text = |path: &PathBuf| {
        path.extension().and_then(|extension| extension.to_str()).is_some_and(|it| EXTENSIONS.contains(&it))
    };
    below.filter(is_text).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
