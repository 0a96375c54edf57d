//! Random expressions, typed and evaluated: an error that is reported as certain happens.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::super::*;
use super::{Example, inputs, names};
use snorri_core::expression::{Expression, environment};

const ATOMS: [&str; 16] = [
    "input.id",
    "input.count",
    "input.price",
    "input.kind",
    "input.tags",
    "input.isGift",
    "input.lines",
    "input.from",
    "input.from.city",
    "1",
    "2.5",
    "'a'",
    "true",
    "null",
    "[1, 2]",
    "{'city': 'Bern'}",
];

/// They have no short-circuit operators: an expression with a failing part fails as a whole.
fn expressions() -> impl Strategy<Value = String> {
    let atoms = proptest::sample::select(&ATOMS[..]).prop_map(str::to_owned);
    let signs = proptest::sample::select(&["+", "-", "*", "/", "%", "<", ">=", "==", "!=", "in"][..]);
    let calls = proptest::sample::select(&["size", "string", "int", "double", "type", "-", "!"][..]);
    let members = proptest::sample::select(&["contains", "startsWith", "matches"][..]);
    let macros = proptest::sample::select(&["map", "filter", "exists_one"][..]);
    atoms.prop_recursive(4, 24, 2, move |inner| {
        let pair = || (inner.clone(), inner.clone());
        prop_oneof![
            4 => (signs.clone(), pair()).prop_map(|(sign, (one, other))| format!("({one} {sign} {other})")),
            2 => (calls.clone(), inner.clone()).prop_map(|(call, one)| format!("{call}({one})")),
            1 => (members.clone(), pair()).prop_map(|(call, (one, other))| format!("{one}.{call}({other})")),
            1 => pair().prop_map(|(one, other)| format!("{one}[{other}]")),
            1 => inner.clone().prop_map(|one| format!("{one}.city")),
            1 => pair().prop_map(|(one, other)| format!("[{one}, {other}]")),
            1 => (macros.clone(), pair()).prop_map(|(call, (one, other))| format!("{one}.{call}(it, {other})")),
            1 => inner.clone().prop_map(|one| format!("{one}.map(it, it)[0]")),
        ]
    })
}

/// The kinds that a value of JSON may have been made of.
fn made_of(value: &Json) -> Kinds {
    match value {
        Json::Null => Kinds::NULL | Kinds::OPTIONAL | Kinds::DOUBLE,
        Json::Bool(_) => Kinds::BOOL,
        Json::Number(number) if number.is_f64() => Kinds::DOUBLE,
        Json::Number(_) => Kinds::INT | Kinds::UINT | Kinds::DURATION,
        Json::String(_) => Kinds::any_of(&[Kinds::TEXT, Kinds::BYTES, Kinds::TIMESTAMP, Kinds::TYPE]),
        Json::Array(_) => Kinds::LIST,
        Json::Object(_) => Kinds::OBJECT,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_are_of_their_types_and_errors_are_errors(source in expressions()) {
        let (env, names) = (Arc::new(environment()), names());
        let Ok(expression) = Expression::compile(&env, &source) else { return Ok(()) };
        let program = expression.program();
        let of = of_program(&source, program, Scope::OUTPUT, &names);
        let found = check(&source, program, Scope::OUTPUT, &names, Wanted::Anything);
        let is_wrong = found.iter().any(|finding| ["E0409", "E0412"].contains(&finding.code));
        for input in inputs() {
            if let Ok(value) = expression.evaluate(&Example(input)) {
                prop_assert!(!is_wrong, "{source} is {value}");
                prop_assert!(of.kinds.may_be(made_of(&value)), "{source} is {value}, not {}", of.kinds);
            }
        }
    }
}
