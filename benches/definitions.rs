//! `cargo bench --bench definitions`: how long it takes to compile a definition, to refuse a malicious one, and to stop an
//! evaluation that grows.
//!
//! Each runs in a process of its own, so that its peak of memory is its own. A bomb must be refused within 50 ms and 32 MiB,
//! the process itself included; an evaluation or a check that exceeds its budget within 50 ms and 16 MiB more than before.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use snorri_core::expression::template::Template;
use snorri_core::expression::{Scope, Variable, environment};
use tokio::time::Instant;

const MOST_TIME: Duration = Duration::from_millis(50);
const MOST_KIB: u64 = 32 * 1024;
const MOST_ADDED_KIB: u64 = 16 * 1024;

/// Expressions over two lists of 1,000 items and a text of 100 KB, and whether they exceed the budget.
const EVALUATIONS: [(&str, bool); 11] = [
    ("a list of 1,000", false),
    ("a join of 1,000 x 1,000", true),
    ("a join by `in`", true),
    ("arithmetic in a join", true),
    ("objects in a join", true),
    ("28 doublings of a list", true),
    ("28 doublings of objects", true),
    ("28 doublings of a text", true),
    ("a slow pattern of data", true),
    ("a large pattern of data", true),
    ("many patterns of data", true),
];

/// The same, validated against a schema.
const CHECKS: [(&str, bool); 5] = [
    ("100,000 numbers", false),
    ("100,000 wrong numbers", true),
    ("a pattern on 100 KB", true),
    ("schemas that double", true),
    ("alternatives of items", true),
];

/// Sources, and whether they must be refused.
const SOURCES: [(&str, bool); 9] = [
    ("the order saga", false),
    ("aliases of aliases", true),
    ("a list of aliases", true),
    ("deep lists", true),
    ("deep mappings", true),
    ("deep expression", true),
    ("too long", true),
    ("many keys", true),
    ("many expressions", true),
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    for (option, run) in KINDS {
        if let Some(at) = arguments.iter().position(|argument| argument == option) {
            return run(arguments.get(at + 1).context("a name")?);
        }
    }
    println!("{:<26} {:>9} {:>9} {:>9}", "", "ms", "MiB", "");
    let is_within = measure("--source", &SOURCES, MOST_KIB)?
        & measure("--evaluation", &EVALUATIONS, MOST_ADDED_KIB)?
        & measure("--check", &CHECKS, MOST_ADDED_KIB)?;
    ensure!(is_within, "what is refused is refused within {MOST_TIME:?}, and within its memory");
    Ok(())
}

type Kind = (&'static str, fn(&str) -> anyhow::Result<()>);

/// The measurements that run in a process of their own, by their option.
const KINDS: [Kind; 3] = [("--source", compile), ("--evaluation", evaluate), ("--check", check)];

/// Whether everything that must be refused was refused in time and within `most_kib`.
fn measure(option: &str, cases: &[(&str, bool)], most_kib: u64) -> anyhow::Result<bool> {
    let mut is_within = true;
    for (name, is_bomb) in cases {
        let output = Command::new(std::env::current_exe()?).args([option, name]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [micros, kib, refused] = numbers[..] else {
            anyhow::bail!("{name}: {text}{}", String::from_utf8_lossy(&output.stderr))
        };
        ensure!((refused == 1) == *is_bomb, "{name} was {}refused", if refused == 1 { "" } else { "not " });
        is_within &= !is_bomb || (Duration::from_micros(micros) < MOST_TIME && kib < most_kib);
        let (millis, mib) = (micros / 1_000, kib / 1_024);
        println!(
            "{name:<26} {millis:>5}.{:03} {mib:>9} {:>9}",
            micros % 1_000,
            if *is_bomb { "refused" } else { "" }
        );
    }
    Ok(is_within)
}

/// Prints microseconds, peak KiB and whether it was refused.
fn compile(name: &str) -> anyhow::Result<()> {
    let source = source(name)?;
    let began = Instant::now();
    let refused = snorri_definition::compile("source.yaml", &source).is_err();
    println!("{} {} {}", began.elapsed().as_micros(), peak_kib()?, u8::from(refused));
    Ok(())
}

fn peak_kib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(peak.trim().trim_end_matches("kB").trim().parse()?)
}

struct Input(Value);

impl Scope for Input {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        (name == "input").then_some(Variable::Json(&self.0))
    }
}

/// Prints microseconds, added KiB and whether the budget was exceeded.
fn evaluate(name: &str) -> anyhow::Result<()> {
    let doublings = |start: &str, link: &str| format!("{start}{}", link.repeat(28));
    let expression = match name {
        "a list of 1,000" => "input.left.map(l, {'sku': l.id, 'total': l.price * 2.0})".to_owned(),
        "a join of 1,000 x 1,000" => "input.left.filter(l, input.right.exists(r, r.id == l.id))".to_owned(),
        "a join by `in`" => "input.left.filter(l, l in input.right)".to_owned(),
        "arithmetic in a join" => {
            "input.ids.all(l, input.ids.all(r, r + l + 1 - r * 2 - r - 7 < 1000000))".to_owned()
        }
        "objects in a join" => "input.ids.map(l, input.ids.map(r, {'a': r, 'b': l}))".to_owned(),
        "28 doublings of a list" => doublings("[input.left]", ".map(x, x + x)"),
        "28 doublings of objects" => doublings("[1]", ".map(x, {'a': x, 'b': x})"),
        "28 doublings of a text" => doublings("['text']", ".map(x, x + x)"),
        "a slow pattern of data" => "input.text.matches(input.slow)".to_owned(),
        "a large pattern of data" => "'a'.matches(input.large)".to_owned(),
        "many patterns of data" => "input.ids.map(id, 'a'.matches(input.words + string(id)))".to_owned(),
        other => anyhow::bail!("no evaluation is called {other}"),
    };
    let list = |name: &str| -> Vec<_> {
        (0..1_000).map(|n| json!({"id": format!("{name}{n}"), "quantity": n, "price": 1.5})).collect()
    };
    let input = Input(json!({
        "left": list("l"),
        "right": list("r"),
        "ids": (0..1_000).collect::<Vec<_>>(),
        "text": "ab".repeat(50_000),
        "slow": "(a|b)*a(a|b){200}c",
        "large": r"((\w{50}){50}){50}",
        "words": r"\w{9}",
    }));
    let template = Template::of_text(&Arc::new(environment()), &format!("${{ {expression} }}"))?;
    let (before, began) = (peak_kib()?, Instant::now());
    let refused = template.render(&input).is_err_and(|error| error.message.contains("more than"));
    println!("{} {} {}", began.elapsed().as_micros(), peak_kib()? - before, u8::from(refused));
    Ok(())
}

/// Prints microseconds, added KiB and whether the value was refused.
fn check(name: &str) -> anyhow::Result<()> {
    let numbers = json!((0..100_000).collect::<Vec<_>>());
    let doubling = (0..28).map(|n| {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        (format!("d{n}"), json!({"anyOf": [{"type": "null"}, next, next]}))
    });
    let doubling: serde_json::Map<_, _> =
        doubling.chain([("d28".to_owned(), json!({"type": "string"}))]).collect();
    let (schema, value) = match name {
        "100,000 numbers" => {
            (json!({"items": {"type": "integer", "minimum": 0}, "uniqueItems": true}), numbers)
        }
        "100,000 wrong numbers" => (json!({"items": {"type": "string"}}), numbers),
        "a pattern on 100 KB" => (json!({"pattern": "(a|b)*a(a|b){40}c"}), json!("ab".repeat(50_000))),
        "schemas that double" => (json!({"$ref": "#/$defs/d0", "$defs": doubling}), json!(1)),
        "alternatives of items" => {
            (json!({"anyOf": [{"items": {"type": "string"}}, {"items": {"type": "boolean"}}]}), numbers)
        }
        other => anyhow::bail!("no check is called {other}"),
    };
    let schema = json!({"properties": {"value": schema}, "$defs": schema["$defs"].as_object()});
    let schema =
        serde_json::to_string(&schema)?.replace("\"$defs\":null,", "").replace(",\"$defs\":null", "");
    let source = format!(
        "saga: large\nversion: 1\ninput: {schema}\nsteps:\n  - {{ name: a, command: x, exchange: x, pivot: true }}\n"
    );
    let compiled = snorri_definition::compile("source.yaml", &source)?;
    let input = json!({"value": value});
    let (before, began) = (peak_kib()?, Instant::now());
    let refused = compiled.check_input(&input).is_err();
    println!("{} {} {}", began.elapsed().as_micros(), peak_kib()? - before, u8::from(refused));
    Ok(())
}

fn source(name: &str) -> anyhow::Result<String> {
    let head = "saga: bomb\nversion: 1\n";
    Ok(match name {
        "the order saga" => include_str!("../sagas/order.yaml").to_owned(),
        "aliases of aliases" => (1..30).fold(format!("{head}a0: &a0 [x, x, x]\n"), |mut text, n| {
            let _ = writeln!(text, "a{n}: &a{n} [*a{m}, *a{m}, *a{m}]", m = n - 1);
            text
        }),
        "a list of aliases" => {
            format!("{head}a: &a [{}]\nb: [{}]\n", "x, ".repeat(5_000), "*a, ".repeat(5_000))
        }
        "deep lists" => format!("{head}steps: {}{}\n", "[".repeat(100_000), "]".repeat(100_000)),
        "deep mappings" => format!("{head}steps: {}1{}\n", "{a: ".repeat(40_000), "}".repeat(40_000)),
        "deep expression" => {
            let expression = format!("{}1{}", "(".repeat(1_500), ")".repeat(1_500));
            format!("{head}steps:\n  - {{ name: a, command: x, exchange: x, compensate: none, payload: \"${{ {expression} }}\" }}\n")
        }
        "too long" => format!("{head}description: {}\n", "x".repeat(8 << 20)),
        "many keys" => (0..20_000).fold(head.to_owned(), |mut text, n| {
            let _ = writeln!(text, "k{n}: 1");
            text
        }),
        "many expressions" => (0..8_000).fold(
            format!("{head}steps:\n  - name: a\n    command: x\n    exchange: x\n    compensate: none\n    payload:\n"),
            |mut text, n| {
                let _ = writeln!(text, "      f{n}: ${{ input.a{n} + 1 }}");
                text
            },
        ),
        other => anyhow::bail!("no source is called {other}"),
    })
}
