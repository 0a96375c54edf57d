//! Mistakes, planted in a copy of the source: `snorri check` of the definitions that ship must find each of the core's, and
//! the tests each of those in when and how often commands are sent.
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

/// A mistake that is not in what the model check explores, and the tests that find it.
struct Fault {
    what: &'static str,
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
    tests: &'static [&'static str],
}

const FAULTS: [Fault; 7] = [
    Fault {
        what: "a command that was never sent times out",
        file: "src/saga/transition/mod.rs",
        right: "if is_unsent(&path, direction, self.last_attempt(&path, direction)) {",
        wrong: "if false && is_unsent(&path, direction, self.last_attempt(&path, direction)) {",
        tests: &["--test", "scripts"],
    },
    Fault {
        what: "a command goes forward although nobody awaits it",
        file: "src/saga/transition/replies.rs",
        right: "() if !is_awaited || turns_back => Err(Ignored::NotAwaited),",
        wrong: "() if !is_awaited && !turns_back => Err(Ignored::NotAwaited),",
        tests: &["--test", "scripts"],
    },
    Fault {
        what: "a command without a queue uses attempts",
        file: "src/saga/transition/advance.rs",
        right: "self.last_attempt(path, direction) + u32::from(!came_back)",
        wrong: "self.last_attempt(path, direction) + u32::from(!came_back || came_back)",
        tests: &["--test", "scripts"],
    },
    Fault {
        what: "a slow participant gets as much as a fast one",
        file: "src/engine/flow.rs",
        right: "self.allowed = in_time.min(self.allowed / 2.0).max(1.0);",
        wrong: "self.allowed = in_time.max(self.allowed);",
        tests: &["--lib", "engine::flow"],
    },
    Fault {
        what: "there is no bound on unanswered commands",
        file: "src/engine/flow.rs",
        right: "unanswered + 1.0 <= self.allowed && self.rests_until <= now",
        wrong: "unanswered >= 0.0 && self.rests_until <= now",
        tests: &["--lib", "engine::flow"],
    },
    Fault {
        what: "undos expire, and what goes forward does not",
        file: "src/engine/outbox.rs",
        right: "&& command.direction == Direction::Forward",
        wrong: "&& command.direction != Direction::Forward",
        tests: &["--test", "engine"],
    },
    Fault {
        what: "commands are sent to an exchange that routes by no key",
        file: "src/check/topology/exchange.rs",
        right: "&& matches!(exchange.kind, ExchangeKind::Fanout | ExchangeKind::Headers)",
        wrong: "&& matches!(exchange.kind, ExchangeKind::Headers)",
        tests: &["--lib", "check::topology"],
    },
];

#[test]
#[ignore = "builds the program once for each mistake: `make planted`"]
fn every_mistake_is_found_by_a_check_of_the_definitions_that_ship_or_by_the_tests() {
    let copy = Copy::new();
    assert_eq!(copy.check("none"), Vec::<String>::new(), "the core as it is");
    for mistake in MISTAKES {
        let found = copy.with(mistake.file, mistake.right, mistake.wrong, || copy.check(mistake.what));
        println!("{}: {}", mistake.what, found.join(", "));
        let is_told = found.iter().any(|found| found.starts_with(mistake.code));
        assert!(is_told, "{}: not told as {}, but {found:?}", mistake.what, mistake.code);
    }
    for fault in FAULTS {
        let found = copy.with(fault.file, fault.right, fault.wrong, || copy.test(fault.tests));
        println!("{}: {found}", fault.what);
        assert!(found.contains("FAILED"), "{}: not found by {:?}: {found}", fault.what, fault.tests);
    }
}

/// A copy of the source, and in it a program that checks the definitions that ship. It is built in the target directory of
/// the project, so that the dependencies are not built again, under a version of its own: two workspaces with a package of
/// one name and version share what is built of it, and Cargo may take the build of one for that of the other.
struct Copy {
    directory: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
        drop(fs::remove_dir_all(&directory));
        let packages = ["Cargo.toml", "Cargo.lock", "src", "migrations", "benches", "tests", "examples"];
        let others =
            ["docs", "sagas", "deploy", "rustfmt.toml", "README.md", "ARCHITECTURE.md", "CHANGELOG.md"];
        for part in packages.into_iter().chain(others) {
            copy(&root.join(part), &directory.join(part));
        }
        copy(&root.join("tests/planted/check.rs"), &directory.join("examples/planted.rs"));
        let copy = Self { directory };
        let version = "version = \"0.0.0-planted\"";
        copy.replace("Cargo.toml", "\nversion.workspace = true", &format!("\n{version}"));
        let locked = format!("name = \"snorri\"\nversion = \"{}\"", env!("CARGO_PKG_VERSION"));
        copy.replace("Cargo.lock", &locked, &format!("name = \"snorri\"\n{version}"));
        copy
    }

    /// Does something while a file has `wrong` for `right`.
    fn with<T>(&self, file: &str, right: &str, wrong: &str, act: impl FnOnce() -> T) -> T {
        let source = self.replace(file, right, wrong);
        let done = act();
        fs::write(self.directory.join(file), source).expect("put right");
        done
    }

    /// Writes `to` for the only `from` in a file. Returns the text before.
    fn replace(&self, file: &str, from: &str, to: &str) -> String {
        let path = self.directory.join(file);
        let source = fs::read_to_string(&path).expect("a file");
        assert_eq!(source.matches(from).count(), 1, "{file}: `{from}`");
        fs::write(&path, source.replace(from, to)).expect("written");
        source
    }

    /// The last line with a result of these tests. Only a test that fails counts, not one that does not compile.
    fn test(&self, tests: &[&str]) -> String {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
        let out = Command::new(env!("CARGO"))
            .args(["test", "--quiet", "--locked"])
            .args(tests)
            .current_dir(&self.directory)
            .env("CARGO_TARGET_DIR", target)
            .output()
            .expect("cargo runs");
        let printed = String::from_utf8_lossy(&out.stdout);
        let result = printed.lines().rfind(|line| line.starts_with("test result"));
        result.map_or_else(|| String::from_utf8_lossy(&out.stderr).into_owned(), str::to_owned)
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
