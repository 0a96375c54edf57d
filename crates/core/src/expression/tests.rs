//! Tests of the budget of expressions: counting changes no result.

use std::sync::Arc;

use cel::{Context, Env};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::values::Reads;
use super::{Expression, MAX_MESSAGE_BYTES, Scope, Variable, environment};
use crate::expression::template::Template;

struct Input(Value);

impl Scope for Input {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        match name {
            "input" => Some(Variable::Json(&self.0)),
            "reserve" => Some(Variable::Step { output: Some(&self.0) }),
            _ => None,
        }
    }
}

fn evaluate(source: &str, input: Value) -> Result<Value, String> {
    let expression = Expression::compile(&Arc::new(environment()), source).expect(source);
    expression.evaluate(&Input(input)).map_err(|error| error.message)
}

/// Two lists of `count` objects with nothing in common, and long texts.
fn large(count: usize) -> Value {
    let list = |name: &str| -> Vec<_> {
        (0..count).map(|n| json!({"id": format!("{name}{n}"), "quantity": n, "price": 1.5})).collect()
    };
    json!({
        "left": list("l"),
        "right": list("r"),
        "ids": (0..count).collect::<Vec<_>>(),
        "others": (count..2 * count).collect::<Vec<_>>(),
        "text": "ab".repeat(50_000),
        "pattern": "(a|b|ab)*c{400}$",
        "bomb": r"((\w{50}){50}){50}",
    })
}

fn chain(start: &str, link: &str, times: usize) -> String {
    format!("{start}{}", link.repeat(times))
}

#[test]
fn what_grows_is_an_error() {
    let join = "input.left.filter(l, input.right.exists(r, r.id == l.id)).size() == 0";
    let sources = [
        join.to_owned(),
        "input.left.map(l, input.right.map(r, r.quantity * l.quantity))".to_owned(),
        "input.left.all(l, input.right.all(r, r.id != l.id))".to_owned(),
        "input.left.exists_one(l, input.right.exists_one(r, r.id == l.id))".to_owned(),
        "input.ids.filter(id, id in input.others)".to_owned(),
        "input.left.filter(l, l in input.right)".to_owned(),
        chain("[input.left]", ".map(x, x + x)", 28),
        chain("[[1]]", ".map(x, x + x)", 28),
        chain("['text']", ".map(x, x + x)", 28),
        chain("[1]", ".map(x, [x, x])", 28),
        chain("[1]", ".map(x, {'a': x, 'b': x})", 28),
        chain("[optional.of([1])]", ".map(x, optional.of([x, x]))", 28),
        format!("[{}]", "input.left, ".repeat(300)),
        format!("[{}]", "string(bytes(input.text)), ".repeat(150)),
        "input.text.matches(input.pattern)".to_owned(),
        "matches(input.text, input.pattern)".to_owned(),
        "'a'.matches(input.bomb)".to_owned(),
        "input.ids.map(id, 'a'.matches('[a-z]{40}' + string(id)))".to_owned(),
        "input.ids.all(id, !input.text.contains('c'))".to_owned(),
        "input.ids.all(id, input.text.size() > 0 && input.text < input.text + 'a')".to_owned(),
        "input.ids.all(id, input.left != input.right)".to_owned(),
        "input.ids.all(id, input.left % 2 == 0)".to_owned(),
        format!("[{}]", "input.text, ".repeat(150)),
        format!("[{0}] == [{0}]", "input.text, ".repeat(60)),
        format!("[{}] in [[1]]", "input.text, ".repeat(90)),
        "[input.left].map(l, [l, l, l, l, l, l, l, l]).map(l, l % 2)".to_owned(),
        "input.ids.all(id, input.left < input.right)".to_owned(),
        "input.ids.all(id, input.left[0.5] == 1)".to_owned(),
        format!("({join}) || true"),
        format!("!({join}) && false"),
    ];
    for source in sources {
        let error = evaluate(&source, large(1_000)).expect_err(&source);
        let is_clear = error.contains("takes more than") || error.contains("makes values of more than");
        assert!(is_clear || source.contains("[0.5]"), "{source}: {error}");
    }
}

#[test]
fn a_template_has_one_budget() {
    let env = Arc::new(environment());
    let input = Input(large(1_000));
    let fields = |field: Value| {
        let fields = (0..200).map(|n| (n.to_string(), field.clone()));
        Value::Object(fields.collect())
    };
    for field in
        ["${ input }", "${ input.text }${ input.text }", "${ input.left.filter(l, l.quantity > 5).size() }"]
    {
        let template = |field: &Value| -> Template {
            let Value::Object(fields) = fields(field.clone()) else { panic!("an object") };
            let compile =
                |text: &Value| Template::of_text(&env, text.as_str().expect("text")).expect("compiles");
            Template::Object(fields.into_iter().map(|(name, text)| (name, compile(&text))).collect())
        };
        let error = template(&json!(field)).render(&input).expect_err(field).message;
        assert!(error.contains("more than"), "{field}: {error}");
        let one = Template::of_text(&env, field).expect("compiles").render(&input);
        assert!(one.is_ok(), "{field}: {one:?}");
    }
}

#[test]
fn what_is_used_every_day_is_within_the_budget() {
    let sources = [
        (
            "input.left.map(l, {'sku': l.id, 'count': l.quantity, 'total': l.price * 2.0}).size()",
            json!(1_000),
        ),
        (
            "input.left.filter(l, l.quantity % 2 == 0 && l.id.startsWith('l') && has(l.price)).size()",
            json!(500),
        ),
        ("input.left.all(l, l.quantity < 1000 && l.price > 1.0)", json!(true)),
        ("input.left.exists(l, l.id == 'l999')", json!(true)),
        ("input.left.map(l, l.id.matches('^[a-z][0-9]{1,4}$')).size()", json!(1_000)),
        ("(input.left + input.right).size()", json!(2_000)),
        ("input.left != input.right", json!(true)),
        ("999 in input.ids && !(1 in input.others)", json!(true)),
        ("input.text.size() + 1", json!(100_001)),
        ("input.text.contains('c') || input.text.matches('^(ab)*$')", json!(true)),
    ];
    for (source, value) in sources {
        assert_eq!(evaluate(source, large(1_000)), Ok(value), "{source}");
    }
    let join = "input.left.filter(l, input.right.exists(r, r.id == l.id) || l.id in ['l7']).size()";
    assert_eq!(evaluate(join, large(100)), Ok(json!(1)));
}

#[test]
fn what_is_not_read_costs_nothing() {
    let numbers: Vec<Vec<u32>> = vec![vec![7; 1_000]; 125];
    let mut input = json!({"count": 1, "long": vec![1; 1_001], "more": {"numbers": numbers, "id": "a"}});
    for source in
        ["input.count + 1 == 2", "input.more.id + 'b' == 'ab'", "has(input.more.id) && !has(input.note)"]
    {
        assert_eq!(evaluate(source, input.clone()), Ok(json!(true)), "{source}");
    }
    assert!(evaluate("input.long.size()", input.clone()).expect_err("too long").contains("1001 items"));
    // The whole text is read.
    input["long"].take();
    assert_eq!(evaluate("size(input)", input.clone()), Ok(json!(3)));
    assert_eq!(evaluate("input.more.numbers.size()", input), Ok(json!(125)));
}

#[test]
fn the_keys_of_an_object_have_an_order() {
    let fields: serde_json::Map<_, _> = (0..100).map(|n| (format!("f{n:02}"), json!(n))).collect();
    let keys: Vec<_> = fields.keys().cloned().collect();
    assert_eq!(evaluate("input.map(key, key)", Value::Object(fields)), Ok(json!(keys)));
}

#[test]
fn messages_do_not_repeat_long_values() {
    let error = evaluate("input + 1", large(1_000)).expect_err("an object and a number");
    assert!(error.len() < MAX_MESSAGE_BYTES + 10 && error.ends_with(" ..."), "{error}");
}

#[test]
fn what_nests_as_deep_as_it_may_is_evaluated() {
    let deep = [
        chain("input.ids", ".map(x, x)", 190) + ".size() == 3",
        format!("{}'a'{} == 'a'", "string(".repeat(60), ")".repeat(60)),
        chain("1", " + 1", 190) + " > 0",
        format!("({}).size() > 0", chain("'a'", " + 'a'", 190)),
    ];
    for source in deep {
        assert_eq!(evaluate(&source, json!({"ids": [1, 2, 3]})), Ok(json!(true)), "{source}");
    }
    let too_deep = evaluate(&(chain("1", " + 1", 900) + " > 0"), json!({}));
    assert_eq!(too_deep, Err("it nests too deep".to_owned()));
}

#[test]
fn the_same_evaluation_takes_the_same() {
    // Always within the budget with the one, and beyond it with the other.
    let value = |count: usize| {
        let source = "input.left.map(l, input.right.map(r, r.quantity + l.quantity).size()).size()";
        evaluate(source, large(count)).is_ok()
    };
    let largest = (1..1_000).find(|&count| !value(count)).expect("a limit") - 1;
    for _ in 0..3 {
        assert!(value(largest) && !value(largest + 1));
    }
    assert!((90..300).contains(&largest), "{largest}");
}

const ATOMS: [&str; 19] = [
    "input.id",
    "input.count",
    "input.tags",
    "input.lines",
    "input.from",
    "input.from.city",
    "input.nothing",
    "input",
    "reserve.output.count",
    "1",
    "2.5",
    "'a'",
    "b'a'",
    "true",
    "null",
    "[1, 2]",
    "{'city': 'Bern'}",
    "input.?from.?city",
    "optional.of(input.tags)",
];

fn expressions() -> impl Strategy<Value = String> {
    let atoms = proptest::sample::select(&ATOMS[..]).prop_map(str::to_owned);
    let signs = ["+", "-", "*", "/", "%", "<", ">=", "==", "!=", "in", "&&", "||"];
    let signs = proptest::sample::select(signs.to_vec());
    let calls = ["size", "string", "int", "double", "type", "-", "!", "bytes", "dyn", "optional.of"];
    let calls = proptest::sample::select(calls.to_vec());
    let members = ["contains", "startsWith", "endsWith", "matches", "or", "orValue"];
    let members = proptest::sample::select(members.to_vec());
    let macros = ["map", "filter", "exists_one", "all", "exists"];
    let macros = proptest::sample::select(macros.to_vec());
    atoms.prop_recursive(5, 32, 3, move |inner| {
        let pair = || (inner.clone(), inner.clone());
        prop_oneof![
            4 => (signs.clone(), pair()).prop_map(|(sign, (one, other))| format!("({one} {sign} {other})")),
            2 => (calls.clone(), inner.clone()).prop_map(|(call, one)| format!("{call}({one})")),
            2 => (members.clone(), pair()).prop_map(|(call, (one, other))| format!("{one}.{call}({other})")),
            1 => inner.clone().prop_map(|one| format!("{one}.size()")),
            1 => inner.clone().prop_map(|one| format!("{one}.hasValue()")),
            1 => pair().prop_map(|(one, other)| format!("{one}[{other}]")),
            1 => pair().prop_map(|(one, other)| format!("{one}[?{other}]")),
            1 => inner.clone().prop_map(|one| format!("{one}.city")),
            1 => pair().prop_map(|(one, other)| format!("[{one}, {other}]")),
            1 => pair().prop_map(|(one, other)| format!("{{'a': {one}, string({other}): 1}}")),
            3 => (macros.clone(), pair()).prop_map(|(call, (one, other))| format!("{one}.{call}(it, {other})")),
            2 => (macros.clone(), pair()).prop_map(|(call, (one, other))| format!("{one}.{call}(it, it == {other})")),
            1 => pair().prop_map(|(one, other)| format!("{one}.map(it, it != {other}, it)")),
            1 => (inner.clone(), pair()).prop_map(|(test, (one, other))| format!("({test} ? {one} : {other})")),
        ]
    })
}

/// The result of CEL itself.
fn plain(expression: &Expression, input: &Input) -> Result<Value, String> {
    let mut context = Context::with_env(Arc::new(Env::stdlib()));
    for name in ["input", "reserve"] {
        let variable = input.variable(name).expect("a variable");
        let value = variable.to_cel(&Reads::All, &super::Budget::default()).expect("a value");
        context.add_variable_as_val(name, value);
    }
    let result = cel::Value::resolve_val(expression.program().expression(), &context);
    super::values::to_json(result.map_err(|error| error.to_string())?.as_ref())
}

/// Lists without their order: the order of a map's keys differs each time.
fn unordered(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(unordered).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(fields) => fields.into_iter().map(|(name, field)| (name, unordered(field))).collect(),
        value => value,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counting_changes_no_value(source in expressions()) {
        let input = Input(json!({
            "id": "o-1", "count": 2, "tags": ["a", "b"], "from": {"city": "a"}, "nothing": null,
            "lines": [{"sku": "a", "count": 2}, {"sku": "b", "count": 0}],
        }));
        let Ok(expression) = Expression::compile(&Arc::new(environment()), &source) else { return Ok(()) };
        let counted = expression.evaluate(&input).map_err(|error| error.message);
        match (plain(&expression, &input), counted) {
            // Where arithmetic has no exact result, ours is an error.
            (Ok(_), Err(error)) => prop_assert!(error.contains("too large, or not a number"), "{source}: {error}"),
            (Ok(plain), Ok(counted)) => prop_assert_eq!(unordered(plain), unordered(counted), "{}", source),
            (Err(plain), Ok(counted)) => prop_assert!(false, "{source} is {counted}, and should be: {plain}"),
            (Err(_), Err(_)) => {}
        }
    }
}
