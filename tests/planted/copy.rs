//! A copy of the source for planted faults.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fault::SWITCH;

/// A copy of the source, with a program that checks the shipped definitions. It is built in the target directory of the
/// project, so that the dependencies are not built again, under a version of its own: two workspaces with a package of one name
/// and version share build results, and Cargo may take the build of one for that of the other.
pub struct Copy {
    directory: PathBuf,
}

impl Copy {
    /// A copy for this purpose.
    pub fn new(purpose: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(purpose);
        drop(fs::remove_dir_all(&directory));
        let packages =
            ["Cargo.toml", "Cargo.lock", "src", "crates", "migrations", "benches", "tests", "examples"];
        let others =
            ["docs", "sagas", "deploy", "rustfmt.toml", "README.md", "ARCHITECTURE.md", "CHANGELOG.md"];
        for part in packages.into_iter().chain(others) {
            copy(&root.join(part), &directory.join(part));
        }
        copy(&root.join("tests/planted/check.rs"), &directory.join("examples/planted.rs"));
        let copy = Self { directory };
        copy.set_version(&format!("0.0.0-{purpose}"));
        copy
    }

    /// Gives all packages of the workspace a version.
    fn set_version(&self, version: &str) {
        let before = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
        self.replace("Cargo.toml", &before, &format!("version = \"{version}\""));
        let path = self.directory.join("Cargo.lock");
        let locked = fs::read_to_string(&path).expect("a file");
        // A package of the workspace has no source.
        let packages = locked.split("\n\n").map(|package| match package.contains("\nsource = ") {
            true => package.to_owned(),
            false => package.replace(&before, &format!("version = \"{version}\"")),
        });
        fs::write(&path, packages.collect::<Vec<_>>().join("\n\n")).expect("written");
    }

    /// Writes `to` for the only `from` in a file.
    pub fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.directory.join(file);
        let source = fs::read_to_string(&path).expect("a file");
        assert_eq!(source.matches(from).count(), 1, "{file}: `{from}`");
        fs::write(&path, source.replace(from, to)).expect("written");
    }

    /// Adds a text to the end of a file.
    pub fn add(&self, file: &str, text: &str) {
        let path = self.directory.join(file);
        let source = fs::read_to_string(&path).expect("a file");
        fs::write(&path, source + text).expect("written");
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.directory.join(file), text).expect("written");
    }

    /// Runs the simulation of the engine with this fault. `Err`: the fault that it found.
    pub fn simulate(&self, fault: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let out = self
            .cargo(
                fault,
                &[
                    "test",
                    "--quiet",
                    "--locked",
                    "--test",
                    "engine_simulation",
                    "nothing_goes_wrong",
                    "--",
                    "--nocapture",
                ],
            )
            .envs(variables.iter().copied())
            .output()
            .expect("cargo runs");
        let printed =
            [out.stdout, out.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        let is_result = |line: &&str| line.contains(" seeds failed") || line.contains("a seed never ends");
        let is_seed = |line: &&str| line.starts_with("seed ");
        match printed.lines().find(is_result).or_else(|| printed.lines().find(is_seed)) {
            Some(result) if result.starts_with("0 of") => Ok(result.to_owned()),
            Some(result) => Err(result.to_owned()),
            None => panic!("nothing was run: {printed}"),
        }
    }

    /// Cargo in the copy, with this fault and the target directory of the project.
    fn cargo(&self, fault: &str, arguments: &[&str]) -> Command {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).current_dir(&self.directory);
        command.env("CARGO_TARGET_DIR", target).env(SWITCH, fault);
        command
    }

    /// The last line with a result of these tests with this fault. Only a test that fails counts, not one that does not compile.
    pub fn test(&self, fault: &str, tests: &[&str]) -> String {
        let out =
            self.cargo(fault, &["test", "--quiet", "--locked"]).args(tests).output().expect("cargo runs");
        let printed = String::from_utf8_lossy(&out.stdout);
        let result = printed.lines().rfind(|line| line.starts_with("test result"));
        result.map_or_else(|| String::from_utf8_lossy(&out.stderr).into_owned(), str::to_owned)
    }

    /// The findings of a check of the shipped definitions with this fault: codes, each with the definition.
    pub fn check(&self, fault: &str) -> Vec<String> {
        let run = ["run", "--quiet", "--locked", "--example", "planted"];
        let out = self.cargo(fault, &run).output().expect("cargo runs");
        assert!(out.status.success(), "{fault}: {}", String::from_utf8_lossy(&out.stderr));
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
