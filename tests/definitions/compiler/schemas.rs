//! Schemas in files next to the definition.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use super::language::{SCHEMA, TRIP, trip};

const ORDER: &str = "
saga: order
version: 1
input: { $ref: schemas/order.yaml }
steps: [{ sleep: 1s }]
";

fn files(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
    texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn become_one_that_refers_to_no_file() {
    let trip = trip();
    assert_eq!(
        trip.input_schema,
        Some(json!({
            "$ref": "#/$defs/schemas~1trip.json",
            "$defs": { "schemas/trip.json": {
                "type": "object",
                "required": ["tripId", "legs"],
                "properties": {
                    "tripId": { "type": "string" },
                    "legs": { "type": "array" },
                    "departure": { "$ref": "#/$defs/schemas~1trip.json/$defs/time" },
                },
                "$defs": { "time": { "type": "string" } },
            } },
        }))
    );
    assert_eq!(trip.check_input(&json!({"tripId": "t", "legs": []})), Ok(()));
    let invalid = trip.check_input(&json!({"tripId": "t", "legs": [], "departure": 7})).expect_err("invalid");
    assert_eq!(invalid[0].to_string(), "/departure: value is not of type \"string\"");
}

#[test]
fn belong_to_the_definition() {
    let one = trip();
    assert_eq!(one.files, files(&[("schemas/trip.json", SCHEMA)]), "only what is used");
    let changed = SCHEMA.replace("legs", "stages");
    let changed = files(&[("schemas/trip.json", &changed)]);
    let other = snorri_definition::compile_with("trip.yaml", TRIP, &changed).expect("compiles");
    assert_ne!(one.digest, other.digest);
    let without = snorri_definition::compile_with("order.yaml", super::ORDER, &changed).expect("compiles");
    assert_eq!((without.digest, without.files.len()), (super::order().digest, 0));
}

#[test]
fn may_refer_to_each_other_in_circles() {
    let texts = files(&[
        (
            "schemas/order.yaml",
            "properties: { next: { $ref: order.yaml }, lines: { $ref: parts/line.json } }",
        ),
        ("schemas/parts/line.json", r##"{"items": {"$ref": "../../line.yml#/$defs/line"}}"##),
        ("line.yml", "$defs: { line: { type: string, description: one }, of: { $ref: schemas/order.yaml } }"),
    ]);
    let order = snorri_definition::compile_with("order.yaml", ORDER, &texts).expect("compiles");
    assert_eq!(order.files.len(), 3);
    assert_eq!(order.check_input(&json!({"next": {"lines": ["a"]}})), Ok(()));
    assert!(order.check_input(&json!({"next": {"next": {"lines": [1]}}})).is_err());
}

#[test]
fn come_with_the_definition_that_asks_for_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    };
    write("order.yaml", ORDER);
    write("schemas/order.yaml", "properties: { lines: { $ref: parts/line.json } }");
    write("schemas/parts/line.json", r#"{"$ref": "gone.json"}"#);
    write("schemas/unused.json", "{}");
    let read = snorri_definition::read_directory(directory.path()).expect("read");
    let names: Vec<_> = read[0].files.keys().map(String::as_str).collect();
    assert_eq!(names, ["schemas/order.yaml", "schemas/parts/line.json"]);
    let wrong = snorri_definition::compile_with("order.yaml", &read[0].text, &read[0].files)
        .expect_err("one is missing");
    assert!(wrong.to_string().contains("there is no file `schemas/parts/gone.json`"), "{wrong}");
}

#[cfg(unix)]
#[test]
fn are_not_read_through_links_that_lead_out_of_the_directory() {
    let outside = tempfile::tempdir().expect("a directory");
    fs::write(outside.path().join("secret.yaml"), "type: object").expect("written");
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("order.yaml"), ORDER).expect("written");
    std::os::unix::fs::symlink(outside.path(), directory.path().join("schemas")).expect("linked");
    fs::write(outside.path().join("order.yaml"), "type: object").expect("written");
    let error = snorri_definition::read_directory(directory.path()).expect_err("refused");
    assert!(error.to_string().contains("leads out of the directory"), "{error}");
}

#[test]
fn are_bounded() {
    let large = format!("{{\"description\": \"{}\"}}", "x".repeat(snorri_definition::MAX_SOURCE_BYTES));
    let deep = format!("{}1{}", "{\"a\":".repeat(1_000), "}".repeat(1_000));
    for text in [large.as_str(), deep.as_str(), &"- ".repeat(1_000), "a: &a [*a]"] {
        for name in ["schemas/order.yaml", "schemas/order.json"] {
            let source = ORDER.replace("schemas/order.yaml", name);
            let wrong = snorri_definition::compile_with("order.yaml", &source, &files(&[(name, text)]))
                .expect_err("refused");
            assert_eq!(wrong.list.len(), 1, "{wrong}");
            assert_eq!(wrong.list[0].code, snorri_definition::diagnostic::code::SCHEMA_FILE);
        }
    }
}
