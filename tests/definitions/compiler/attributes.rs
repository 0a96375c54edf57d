//! What a saga can be found by: made from its input, always as a text.

use rstest::rstest;
use serde_json::{Value, json};

fn attributes(value: &str, input: &Value) -> Result<Value, String> {
    let source = format!(
        "saga: order\nversion: 1\nattributes: {{ a: \"{value}\", b: fixed }}\nsteps: [{{ name: s, command: c, exchange: x, compensate: none }}]\n"
    );
    let compiled = snorri_definition::compile("order.yaml", &source).expect("it compiles");
    compiled.attributes(input).map(|attributes| json!(attributes)).map_err(|error| error.to_string())
}

#[rstest]
#[case::text("${ input.x }", json!("Zoë"), json!({ "a": "Zoë", "b": "fixed" }))]
#[case::number("${ input.x }", json!(7), json!({ "a": "7", "b": "fixed" }))]
#[case::boolean("${ input.x }", json!(true), json!({ "a": "true", "b": "fixed" }))]
#[case::within_text("no ${ input.x }", json!(7), json!({ "a": "no 7", "b": "fixed" }))]
#[case::nothing("${ input.x }", json!(null), json!({ "b": "fixed" }))]
#[case::empty("${ input.x }", json!(""), json!({ "a": "", "b": "fixed" }))]
fn values_are_texts(#[case] value: &str, #[case] x: Value, #[case] expected: Value) {
    assert_eq!(attributes(value, &json!({ "x": x })), Ok(expected));
}

#[rstest]
#[case::list(json!([1]), "a text, a number, a boolean or null")]
#[case::control(json!("a\nb"), "control or format characters")]
#[case::long(json!("x".repeat(257)), "at most 256 bytes")]
fn what_cannot_be_one_is_refused(#[case] x: Value, #[case] expected: &str) {
    let error = attributes("${ input.x }", &json!({ "x": x })).expect_err("refused");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_is_not_there_is_refused() {
    let error = attributes("${ input.x }", &json!({})).expect_err("refused");
    assert!(error.contains("input.x"), "{error}");
}
