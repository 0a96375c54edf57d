//! The JSON Schema of definitions: the file is up to date, accepts all definitions that run, and has all documented keys.
//!
//! Run with `SNORRI_UPDATE_SCHEMA=1` to write `sagas/definition.schema.json` again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use rstest::rstest;
use serde_json::{Value, json};
use snorri_definition::language;

const DOCUMENT: &str = include_str!("../../docs/definitions.md");

#[test]
fn the_schema_in_the_repository_is_the_generated_one() {
    let path = root().join("sagas/definition.schema.json");
    let generated = format!("{:#}\n", language::schema());
    if std::env::var_os("SNORRI_UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &generated).expect("written");
    }
    let stored = std::fs::read_to_string(&path).expect("the schema");
    assert!(stored == generated, "run this with SNORRI_UPDATE_SCHEMA=1, and read the difference");
}

#[test]
fn the_schema_is_one() {
    jsonschema::draft202012::meta::validate(&language::schema()).expect("a JSON Schema");
}

#[test]
fn the_shipped_definitions_begin_with_the_line_for_editors() {
    for (path, source) in texts("sagas", "yaml") {
        let line = "# yaml-language-server: $schema=definition.schema.json\n";
        assert!(source.starts_with(line), "{}", path.display());
    }
}

#[test]
fn every_definition_that_runs_is_valid() {
    let scripts = texts("tests/scripts", "txt").into_iter().map(|(path, text)| {
        let (source, _) = text.split_once("\n--- script\n").expect("a definition and a script");
        (path, source.to_owned())
    });
    let definitions: Vec<_> = texts("sagas", "yaml").into_iter().chain(scripts).collect();
    assert!(definitions.len() > 20, "only {} definitions", definitions.len());
    let validator = validator();
    for (path, source) in definitions {
        check(&validator, &yaml(&source), &path.display().to_string());
    }
}

#[rstest]
#[case::unknown_key("colour: blue", "name: ship, command: book")]
#[case::no_unit("timeout: 30", "name: ship, command: book")]
#[case::not_a_duration("timeout: soon", "name: ship, command: book")]
#[case::not_an_expression("description: x", "name: ship, command: book, when: input.x")]
#[case::unknown_word("on_late_reply: ignore", "name: ship, command: book")]
#[case::no_name("description: x", "command: book")]
#[case::two_kinds("description: x", "name: ship, command: book, sleep: 1s")]
#[case::wait_without_end("description: x", "name: approval, wait: { signal: approved }")]
#[case::wait_for_both(
    "description: x",
    "wait: { signal: a, event: b, exchange: c, correlate: '${ event.d }' }, timeout: 1s"
)]
#[case::too_many_at_once(
    "description: x",
    "for_each: '${ input.x }', concurrency: 101, steps: [{ sleep: 1s }]"
)]
fn invalid_definitions_are_rejected(#[case] line: &str, #[case] step: &str) {
    let definition = yaml(&format!("saga: order\nversion: 1\n{line}\nsteps: [{{ {step} }}]\n"));
    assert!(!validator().is_valid(&definition), "{definition}");
}

/// Each example in the document is accepted.
#[test]
fn every_documented_example_is_valid() {
    let mut count = 0;
    for example in examples() {
        let definition = match yaml(&example) {
            Value::Array(steps) => json!({ "saga": "x", "version": 1, "steps": steps }),
            Value::Object(keys) => {
                let mut definition = json!({ "saga": "x", "version": 1, "steps": [{ "sleep": "1s" }] });
                definition.as_object_mut().expect("an object").extend(keys);
                definition
            }
            // The line for editors alone.
            _ => continue,
        };
        check(&validator(), &definition, &example);
        count += 1;
    }
    assert!(count >= 10, "only {count} examples");
}

#[test]
fn the_keys_of_a_file_are_those_of_the_table() {
    let table = DOCUMENT.split("## The file").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = table.expect("the section").lines().filter(|line| line.starts_with("| `"));
    let keys: BTreeSet<_> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split(',').map(|key| key.trim().trim_matches('`').to_owned()))
        .collect();
    assert_eq!(properties(&language::schema()), keys);
}

/// The examples of steps name every key but `when` and `name`, which are documented for all.
#[test]
fn the_keys_of_steps_are_those_of_their_examples() {
    let schema = language::schema();
    let steps: Vec<_> =
        examples().iter().filter_map(|example| yaml(example).as_array().cloned()).flatten().collect();
    for (kind, name) in [
        ("command", "Command"),
        ("parallel", "Parallel"),
        ("choice", "Choice"),
        ("for_each", "ForEach"),
        ("wait", "Wait"),
        ("sleep", "Sleep"),
        ("saga", "Child"),
        ("publish", "Publish"),
        ("fail", "Fail"),
    ] {
        let mut shown: BTreeSet<_> =
            steps.iter().filter(|step| step.get(kind).is_some()).flat_map(keys).collect();
        assert!(!shown.is_empty(), "no example of {kind}");
        shown.insert("name".into());
        if !["parallel", "choice"].contains(&kind) {
            shown.insert("when".into());
        }
        assert_eq!(properties(&schema["$defs"][name]), shown, "{kind}");
    }
    let command = steps.iter().find(|step| step.get("command").is_some()).expect("a command");
    assert_eq!(properties(&schema["$defs"]["EventReply"]), keys(&command["reply_events"][0]));
    let also =
        ["exchange", "policy", "timeout", "unroutable_timeout", "retry", "reply_events"].map(String::from);
    let compensation: BTreeSet<_> = keys(&command["compensate"]).into_iter().chain(also).collect();
    assert_eq!(properties(&schema["$defs"]["Compensation"]), compensation);
}

/// The blocks of YAML in the document, with a step for what it leaves to the reader.
fn examples() -> Vec<String> {
    let blocks = DOCUMENT.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|block| block.replace("[...]", "[{ sleep: 1s }]")).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}

fn properties(schema: &Value) -> BTreeSet<String> {
    keys(&schema["properties"])
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&language::schema()).expect("a JSON Schema")
}

fn check(validator: &Validator, definition: &Value, name: &str) {
    let errors: Vec<_> = validator
        .iter_errors(definition)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}\n{}", errors.join("\n"));
}

fn yaml(source: &str) -> Value {
    serde_saphyr::from_str(source).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// The files of a directory, with what is in them.
fn texts(directory: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(root().join(directory)).expect("a directory");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let is_scenario = |path: &Path| path.to_string_lossy().ends_with(".test.yaml");
    paths.retain(|path| path.extension().is_some_and(|found| found == extension) && !is_scenario(path));
    paths.sort();
    let text = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a text");
        (path, text)
    };
    paths.into_iter().map(text).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
