//! The types of expressions, one a line, compared with the evaluator.

mod random;

use std::sync::Arc;

use cel::Env;

use super::super::super::diagnostic::Problems;
use super::super::super::source;
use super::*;
use snorri_core::expression::{Expression, Variable, environment};

const INPUT: &str = "
type: object
required: [id, count, price, kind, tags, lines, from, isGift, any]
properties:
  id: { type: string }
  count: { type: integer }
  price: { type: number }
  kind: { enum: [standard, express] }
  tags: { type: array, items: { type: string } }
  isGift: { type: boolean }
  maybe: { type: [string, 'null'] }
  note: { type: string }
  any: {}
  from:
    $ref: '#/$defs/address'
  lines:
    type: array
    items:
      allOf: [{ type: object, required: [sku] }, { properties: { sku: { type: string }, price: { type: number }, gift: { type: string } } }]
$defs:
  address: { type: object, required: [city], properties: { city: { type: string }, floor: { type: integer } } }
";

pub(super) fn names() -> Names {
    let node = source::parse(INPUT, &mut Problems::default()).expect("YAML");
    let known = Known { json: node.to_json(), node, called: "the `input` schema".into() };
    Names { input: Some(Arc::new(known)), steps: Vec::new() }
}

/// Formats the type of an expression and the codes of its diagnostics.
fn format_types(source: &str, names: &Names) -> String {
    let env = Env::stdlib();
    let program = Arc::new(env).compile(source).expect(source);
    let of = of_program(source, &program, Scope::OUTPUT, names);
    let found = check(source, &program, Scope::OUTPUT, names, Wanted::Anything);
    let codes =
        found.iter().map(|diagnostic| format!(" {}@{:?}", diagnostic.code, &source[diagnostic.span.clone()]));
    format!("{source:<52} {}{}", of.kinds, codes.collect::<String>())
}

#[test]
fn expressions_have_the_types_of_their_schemas() {
    let names = names();
    let table: Vec<_> = EXPRESSIONS.iter().map(|source| format_types(source, &names)).collect();
    insta::assert_snapshot!(table.join("\n"));
}

const EXPRESSIONS: &[&str] = &[
    // What is known of a name.
    "input",
    "input.id",
    "input['id']",
    "input.count",
    "input.price",
    "input.kind",
    "input.any",
    "input.any.more",
    "input.unknown",
    "input.tags[0]",
    "input.lines[0].sku",
    "input.from.city",
    "saga.id",
    "saga.key",
    // Arithmetic.
    "input.count + 1",
    "input.count * 1.2",
    "double(input.count) * 1.2",
    "input.price * 1.2",
    "input.price * 2",
    "input.price % 2",
    "input.price + input.price",
    "input.price * input.count",
    "-input.count",
    "-input.id",
    "input.count / 0",
    "input.any * 1.2",
    "input.id + input.count",
    "input.id + string(input.count)",
    "'n' + null",
    "input.tags + ['new']",
    "input.tags + 'new'",
    "timestamp(input.id) + duration('1h')",
    "input.id + duration('1h')",
    "(input.count + 1.5) * 2.0",
    // Comparisons.
    "input.count > 1",
    "input.count < 1.5",
    "input.count > '1'",
    "input.count == '1'",
    "input.id != 7",
    "input.id == null",
    "input.maybe == null",
    "input.kind == 'express'",
    "input.kind == 'exprss'",
    "input.kind in ['express', 'slow']",
    "input.kind in ['slow']",
    "input.count in input.tags",
    "'a' in input.id",
    "input.any > timestamp('2026-01-01T00:00:00Z')",
    // Conditions.
    "input.isGift && input.count",
    "!input.count",
    "input.isGift ? 1 : 'a'",
    "input.count ? 1 : 2",
    "(input.isGift ? 'a' : 'b') + 1",
    // What may be missing.
    "input.note",
    "has(input.note) ? input.note : ''",
    "has(input.note) && input.note == 'x'",
    "input.note == 'x' && has(input.note)",
    "!has(input.note) || input.note == 'x'",
    "has(input.note) || input.note == 'x'",
    "!(has(input.note) && input.isGift) ? '' : input.note",
    "'note' in input ? input.note : ''",
    "input.?note.orValue('')",
    "input['note']",
    "input.note == null",
    "input.from.floor + input.from.floor",
    "has(input.note.length)",
    // Similar to a name in the schema.
    "input.cuont + 1",
    "input['isgift']",
    "has(input.notes) ? input.notes : ''",
    "input.?notes.orValue('')",
    // Fields, functions and macros.
    "input.id.length",
    "input.tags.size",
    "has(input.count.value)",
    "size(input.tags)",
    "size(input.count)",
    "input.tags.contains('a')",
    "input.id.startsWith(input.count)",
    "input.id.getFullYear()",
    "timestamp(input.id).getFullYear()",
    "input.id.matches()",
    "input.tags.map(tag, tag + 1)",
    "input.tags.map(tag, size(tag))",
    "input.tags.map(tag, size(tag))[0] + 1.5",
    "input.lines.filter(line, has(line.gift)).map(line, line.gift)",
    "input.lines.map(line, line.gift)",
    "input.lines.map(line, has(line.gift), line.gift)",
    "input.lines.exists(line, line.sku)",
    "input.lines.all(line, has(line.gift)) && input.lines.exists(line, line.gift == 'a')",
    "input.tags.filter(tag, tag)",
    "input.tags.exists_one(tag, tag == 'a')",
    "input.id.map(letter, letter)",
    "input.from.map(key, key + 'x')",
    "{'a': input.count}.a + 'x'",
    "{input.tags: 1}",
    "[1, 2][0] + 'x'",
];

/// A value of each kind.
const SAMPLES: [(Kinds, &str); 12] = [
    (Kinds::NULL, "null"),
    (Kinds::BOOL, "true"),
    (Kinds::INT, "3"),
    (Kinds::UINT, "3u"),
    (Kinds::DOUBLE, "3.5"),
    (Kinds::TEXT, "'a'"),
    (Kinds::LIST, "[1]"),
    (Kinds::OBJECT, "{'a': 1}"),
    (Kinds::BYTES, "b'a'"),
    (Kinds::TIMESTAMP, "timestamp('2026-01-01T00:00:00Z')"),
    (Kinds::DURATION, "duration('1s')"),
    (Kinds::TYPE, "type(1)"),
];

fn is_refused(source: &str) -> bool {
    let env = Arc::new(Env::stdlib());
    let program = env.compile(source).expect(source);
    program.execute(&cel::Context::with_env(env)).is_err()
}

#[test]
fn operators_take_what_the_evaluator_takes() {
    for sign in ["+", "-", "*", "/", "%", "<", "<=", ">", ">="] {
        for (left, one) in SAMPLES {
            for (right, other) in SAMPLES {
                let source = format!("{one} {sign} {other}");
                let given = operators::binary(sign, left, right);
                assert_eq!(given.is_empty(), is_refused(&source), "{source}");
            }
        }
    }
}

#[test]
fn functions_take_what_the_evaluator_takes() {
    // These parse a text, and this one is not valid for them.
    let readers = ["int", "uint", "double", "bool", "timestamp", "duration"];
    for name in
        ["size", "string", "int", "uint", "double", "bool", "bytes", "timestamp", "duration", "type", "dyn"]
    {
        let function = operators::known(name).expect(name);
        for (kind, sample) in SAMPLES {
            if kind != Kinds::TEXT || !readers.contains(&name) {
                let source = format!("{name}({sample})");
                assert_eq!(!function.takes[0].may_be(kind), is_refused(&source), "{source}");
            }
        }
    }
    for (name, argument) in
        [("contains", "'a'"), ("startsWith", "'a'"), ("endsWith", "'a'"), ("matches", "'a'")]
    {
        for (kind, sample) in SAMPLES {
            let takes = operators::known(name).expect(name).takes;
            let on = format!("{sample}.{name}({argument})");
            assert_eq!(!takes[0].may_be(kind), is_refused(&on), "{on}");
            let with = format!("'a'.{name}({sample})");
            assert_eq!(!takes[1].may_be(kind), is_refused(&with), "{with}");
        }
    }
    for name in [
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
    ] {
        for (kind, sample) in SAMPLES {
            let source = format!("{sample}.{name}()");
            assert_eq!(
                !operators::known(name).expect(name).takes[0].may_be(kind),
                is_refused(&source),
                "{source}"
            );
        }
    }
}

/// A thread of the engine has two megabytes.
#[test]
fn the_deepest_expressions_fit_a_small_stack() {
    let deep = |part: &str, times: usize, last: &str| format!("{}{last}", part.repeat(times));
    let sources = [
        deep("1 + ", 190, "1"),
        deep("input.isGift && ", 190, "true"),
        deep("input.isGift ? 1 : ", 80, "2"),
        deep("!", 90, "input.isGift"),
        format!("{}1{}", "size([".repeat(30), "])".repeat(30)),
        format!("input{}", ".any".repeat(190)),
    ];
    let all = move || sources.iter().all(|source| !format_types(source, &names()).is_empty());
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(all);
    assert!(thread.expect("a thread").join().expect("fits"));
}

/// Inputs that fit the schema: with as little as there must be, with all there can be, and with other numbers.
pub(super) fn inputs() -> [serde_json::Value; 3] {
    let least = serde_json::json!({
        "id": "2026-01-01T00:00:00Z", "count": 2, "price": 3, "kind": "express", "tags": ["a", "b"], "isGift": true,
        "any": null, "from": {"city": "Bern"}, "lines": [{"sku": "s"}],
    });
    let mut most = least.clone();
    most["note"] = "x".into();
    most["maybe"] = serde_json::Value::Null;
    most["from"]["floor"] = 1.into();
    most["lines"][0]["gift"] = "card".into();
    let mut other = most.clone();
    other["price"] = 3.5.into();
    [least, most, other]
}

pub(super) struct Example(pub(super) serde_json::Value);

impl snorri_core::expression::Scope for Example {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        match name {
            "input" => Some(Variable::Json(&self.0)),
            "saga" => Some(Variable::Saga { id: "s-1", key: None }),
            _ => None,
        }
    }
}

/// An expression that is reported as failing fails, one that may fail does both, and one without diagnostics never fails.
#[test]
fn reported_errors_happen() {
    let names = names();
    let env = Arc::new(environment());
    for source in EXPRESSIONS.iter().filter(|source| !source.contains("any") && !source.contains("unknown")) {
        let expression = Expression::compile(&env, source).expect(source);
        let found = check(source, expression.program(), Scope::OUTPUT, &names, Wanted::Anything);
        let fails = inputs().map(|input| expression.evaluate(&Example(input)).is_err());
        let has = |code: &str| found.iter().any(|finding| finding.code == code);
        match () {
            () if has("E0409") || has("E0412") || has("E0415") => assert_eq!(fails, [true; 3], "{source}"),
            () if has("E0413") => assert_eq!(fails, [true, false, false], "{source}"),
            () if has("E0414") => {
                assert!(fails.contains(&true) && fails.contains(&false), "{source}: {fails:?}");
            }
            () => assert_eq!(fails, [false; 3], "{source}"),
        }
    }
}

#[test]
fn nothing_is_reported_without_schemas() {
    let names = Names::default();
    let silent = EXPRESSIONS.iter().filter(|source| source.contains("input.any"));
    for source in silent.filter(|source| !source.contains("timestamp")) {
        let program = Arc::new(Env::stdlib()).compile(source).expect(source);
        assert_eq!(check(source, &program, Scope::OUTPUT, &names, Wanted::Anything), []);
    }
}
