//! Tests of exact numbers.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::expression::{Expression, Scope, Variable, environment};

struct Input(Value);

impl Scope for Input {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        (name == "input").then_some(Variable::Json(&self.0))
    }
}

fn evaluate(source: &str) -> std::result::Result<Value, String> {
    let input = Input(json!({
        "big": 9_007_199_254_740_993_i64,
        "near": 9_007_199_254_740_992.0,
        "largest": u64::MAX,
        "beyond": 18_446_744_073_709_551_616.0,
        "half": 0.5,
        "one": 1.0,
    }));
    let expression = Expression::compile(&Arc::new(environment()), source).expect(source);
    expression.evaluate(&input).map_err(|error| error.to_string())
}

#[test]
fn numbers_of_all_kinds_are_compared_exactly() {
    let truths = [
        "input.big != input.near && !(input.big == input.near)",
        "input.big > input.near && input.near < input.big && input.near <= input.big",
        "input.largest < input.beyond && input.largest != input.beyond",
        "input.big > 0.5 && 0 < input.half && 1 > input.half && -1 < -input.half",
        "input.one == 1 && input.one in [3, 1] && 1 in [1.0]",
        "!(input.big in [input.near]) && input.big in [input.big]",
        "[input.big] != [input.near] && {'a': [input.big]} != {'a': [input.near]}",
        "[1, {'a': 2.0}] == [1.0, {'a': 2}]",
        "[input.near].all(x, x != input.big) && [input.near].filter(x, x == input.big) == []",
        "'a' in {'a': 1} && 'a' < 'b' && 'a' == 'a' && null == null && 'a' != 1",
        "[1, 2].map(x, x * 2) == [2, 4] && [1] + [2] == [1, 2] && 'a' + 'b' == 'ab'",
        "double(4) / 8.0 == 0.5 && double('1e3') == 1000.0 && 7 / 2 == 3",
    ];
    for source in truths {
        assert_eq!(evaluate(source), Ok(json!(true)), "{source}");
    }
}

#[test]
fn what_is_no_number_is_an_error() {
    let errors = [
        "1.0 / 0.0",
        "0.0 / 0.0 == 0.0",
        "1e308 * 10.0 > 1.0",
        "1e308 + 1e308",
        "-1e308 - 1e308",
        "[{'a': 1.0 / 0.0}]",
        "string(1.0 / 0.0)",
        "9223372036854775807 + 1",
        "double(input.big)",
        "double('0.1000000000000000055')",
        "double('NaN')",
        "{1: 'a', '1': 'b'}",
        "1 < 'a'",
        "1 + 'a'",
    ];
    for source in errors {
        assert!(evaluate(source).is_err(), "{source}");
    }
}
