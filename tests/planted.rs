//! Mistakes in the core, planted in a copy of the source: `snorri check` of the definitions that ship must find each.
//!
//! Each takes a build, so that `make planted` runs this, and `cargo test` alone does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Mistake {
    what: &'static str,
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
    /// What is told of it.
    code: &'static str,
}

const MISTAKES: [Mistake; 6] = [
    Mistake {
        what: "undo in forward order",
        file: "src/saga/walk.rs",
        right: "Block::Sequence(blocks) => blocks.iter().rev().all(|block| self.behind(block)),",
        wrong: "Block::Sequence(blocks) => blocks.iter().all(|block| self.behind(block)),",
        code: "E0607",
    },
    Mistake {
        what: "what is unknown is not undone",
        file: "src/saga/walk.rs",
        right: "Outcome::Failed(_) | Outcome::Omitted => true,",
        wrong: "Outcome::Failed(_) | Outcome::Omitted | Outcome::Unknown { .. } => true,",
        code: "E0603",
    },
    Mistake {
        what: "a late success is accepted while compensating",
        file: "src/saga/transition/replies.rs",
        right: "(None, ReplyResult::Success(output)) if contradicts(step, *direction) => self.late(path, output),",
        wrong: "(None, ReplyResult::Success(output)) if contradicts(step, *direction) => self.succeeded(path, *direction, output),",
        code: "E0608",
    },
    Mistake {
        what: "a refused undo counts as done",
        file: "src/saga/transition/replies.rs",
        right: "Direction::Compensate => self.hold(path, direction, problem.clone()),",
        wrong: "Direction::Compensate => self.succeeded(path, direction, &Arc::default()),",
        code: "E0603",
    },
    Mistake {
        what: "what is given up counts as refused",
        file: "src/saga/transition/replies.rs",
        right: "self.record(Fact::Unknown { step: path.clone(), problem });",
        wrong: "self.record(Fact::Failed { step: path.clone(), problem });",
        code: "E0609",
    },
    Mistake {
        what: "the steps of a list begin together",
        file: "src/saga/walk.rs",
        right: "Block::Sequence(blocks) => blocks.iter().all(|block| self.ahead(block)),",
        wrong: "Block::Sequence(blocks) => blocks.iter().fold(true, |done, block| self.ahead(block) && done),",
        code: "E0610",
    },
];

#[test]
#[ignore = "builds the program once for each mistake: `make planted`"]
fn every_mistake_is_found_by_a_check_of_the_definitions_that_ship() {
    let copy = Copy::new();
    assert_eq!(copy.check("none"), Vec::<String>::new(), "the core as it is");
    for mistake in MISTAKES {
        let path = copy.directory.join(mistake.file);
        let source = fs::read_to_string(&path).expect("a source file");
        assert_eq!(source.matches(mistake.right).count(), 1, "{}: `{}`", mistake.file, mistake.right);
        fs::write(&path, source.replace(mistake.right, mistake.wrong)).expect("planted");
        let found = copy.check(mistake.what);
        fs::write(&path, source).expect("put right");
        println!("{}: {}", mistake.what, found.join(", "));
        let is_told = found.iter().any(|found| found.starts_with(mistake.code));
        assert!(is_told, "{}: not told as {}, but {found:?}", mistake.what, mistake.code);
    }
}

/// A copy of the source, and in it a program that checks the definitions that ship. It is built where everything else is,
/// so that nothing but Snorri itself has to be.
struct Copy {
    directory: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
        drop(fs::remove_dir_all(&directory));
        for part in ["Cargo.toml", "Cargo.lock", "src", "migrations", "docs", "sagas", "benches", "deploy"] {
            copy(&root.join(part), &directory.join(part));
        }
        copy(&root.join("tests/planted/check.rs"), &directory.join("examples/planted.rs"));
        Self { directory }
    }

    /// What a check of the definitions that ship finds: codes, each with the definition.
    fn check(&self, what: &str) -> Vec<String> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
        let out = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--locked", "--example", "planted"])
            .current_dir(&self.directory)
            .env("CARGO_TARGET_DIR", target)
            .output()
            .expect("cargo runs");
        assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a directory");
        for entry in fs::read_dir(from).expect("a directory") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
        fs::copy(from, to).expect("copied");
    }
}
