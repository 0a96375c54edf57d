//! The compiler: text in, a definition or diagnostics out.

mod attributes;
mod language;
mod random_edits;
mod schemas;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use snorri_core::Direction;
use snorri_core::definition::retry::Retry;
use snorri_core::definition::{
    Action, Block, CommandStep, Kind, OnCompensationFailure, OnLateReply, OnTimeout, Step, StepIndex,
};
use snorri_core::expression::template::Template;
use snorri_core::expression::{Scope, Variable};
use snorri_definition::{Compiled, Diagnostics, Source};

const ORDER: &str = include_str!("../../sagas/order.yaml");

/// A definition of one pivot. More keys of the step, or of the saga, can follow it.
const PIVOT: &str = "\
saga: order
version: 1
defaults: { exchange: shop }
steps:
  - name: ship
    command: shipping.book
    pivot: true
";

fn order() -> Compiled {
    snorri_definition::compile("order.yaml", ORDER).expect("the shipped definition compiles")
}

/// What is wrong with a definition of one pivot with `extra` in its step.
fn refused(extra: &str) -> Diagnostics {
    snorri_definition::compile("order.yaml", &format!("{PIVOT}{extra}")).expect_err("refused")
}

mod the_shipped_definition {
    use super::*;

    #[test]
    fn has_the_values_of_its_yaml() {
        let definition = order().definition;
        assert_eq!((&*definition.name, definition.version), ("order", 1));
        assert_eq!(
            definition.description.as_deref(),
            Some("Reserve the stock, take the payment, book the shipment.")
        );
        assert_eq!(definition.timeout, Some(Duration::from_hours(1)));
        assert_eq!(definition.on_late_reply, OnLateReply::Record);
        assert_eq!(definition.on_compensation_failure, OnCompensationFailure::Stop);
        let steps = definition.steps();
        let names: Vec<_> = steps.iter().map(|step| &*step.name).collect();
        assert_eq!(names, ["reserve", "charge", "ship"]);
        let sequence = (0..3).map(|index| Block::Step(StepIndex(index))).collect();
        assert_eq!(definition.body, Block::Sequence(sequence));

        let reserve = &steps[0];
        assert_eq!((reserve.kind, reserve.optional), (Kind::Plain, false));
        assert_eq!(command_step(reserve).on_timeout, OnTimeout::Retry);
        assert_eq!(
            (&*command_step(reserve).command.exchange, &*command_step(reserve).command.name),
            ("shop.commands", "inventory.reserve")
        );
        assert_eq!(command_step(reserve).command.timeout, Duration::from_secs(10));
        let retry = Retry { attempts: 5, first: Duration::from_millis(200), most: Duration::from_secs(30) };
        assert_eq!(command_step(reserve).command.retry, retry);

        let release = reserve.command(Direction::Compensate).expect("a compensation");
        assert_eq!((&*release.exchange, &*release.name), ("shop.commands", "inventory.release"));
        assert_eq!(release.timeout, Duration::from_secs(10), "the step's");
        let patient = Retry { attempts: 10, first: Duration::from_secs(1), most: Duration::from_mins(1) };
        assert_eq!(release.retry, patient, "not the step's");

        assert_eq!(steps[2].kind, Kind::Pivot);
        assert!(!steps[2].has_compensation());
    }

    #[test]
    fn has_the_payloads_of_its_yaml() {
        struct Example;
        impl Scope for Example {
            fn variable(&self, name: &str) -> Option<Variable<'_>> {
                match name {
                    "input" => Some(Variable::Saga { id: "unused", key: None }),
                    "reserve" => Some(Variable::Step { output: None }),
                    _ => None,
                }
            }
        }
        let definition = order().definition;
        let Template::Object(fields) = &command_step(&definition.steps()[2]).command.payload else {
            panic!("an object")
        };
        assert_eq!(fields[0].0, "orderId");
        assert_eq!(fields[1].0, "reservationId");
        let missing = fields[1].1.render(&Example).expect_err("no output");
        assert!(missing.to_string().contains("`reserve` has no output here"), "{missing}");
        assert_eq!(definition.output.as_ref().map(|output| output.expressions().len()), Some(1));
    }

    #[test]
    fn checks_its_input() {
        let order = order();
        assert_eq!(order.check_input(&json!({"orderId": "o-1", "amount": 3})), Ok(()));
        let invalid = order.check_input(&json!({"orderId": "", "items": [7]})).expect_err("invalid");
        let mut lines: Vec<_> = invalid.iter().map(ToString::to_string).collect();
        lines.sort();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        /items/0: value is not of type "string"
        /orderId: value is shorter than 1 character
        : "amount" is a required property
        "#);
    }

    #[test]
    fn makes_its_key_of_its_input() {
        let key = |input: Value| order().key(&input).map_err(|error| error.to_string());
        assert_eq!(key(json!({"orderId": "o-1"})), Ok(Some("o-1".into())));
        assert_eq!(key(json!({"orderId": 7})), Ok(Some("7".into())));
        let wrong = [
            json!({"orderId": ""}),
            json!({"orderId": "x".repeat(513)}),
            json!({"orderId": [1]}),
            json!({}),
            json!({"orderId": "a\0"}),
        ];
        let wrong = wrong.map(|input| key(input).expect_err("no key"));
        insta::assert_snapshot!(wrong.join("\n"), @r"
        `input.orderId`: a key must not be empty
        `input.orderId`: a key has at most 512 bytes
        `input.orderId`: a key must be a text or a number
        `input.orderId`: No such key: orderId
        `input.orderId`: a key must not have control or format characters in it
        ");
    }

    #[test]
    fn has_the_digest_of_its_meaning() {
        let compile = |source: &str| snorri_definition::compile("x", source).expect("compiles").digest;
        let order = order();
        assert_eq!(order.digest.len(), 64);
        assert_eq!(order.digest, compile(&format!("# a comment\n{}\n", ORDER.replace('\n', "\r\n"))));
        assert_ne!(order.digest, compile(&ORDER.replace("attempts: 5", "attempts: 6")));
        assert_eq!(order.source, ORDER);
    }
}

mod an_absent_key {
    use super::*;

    #[test]
    fn is_taken_from_the_defaults_one_by_one() {
        let compiled = snorri_definition::compile(
            "order.yaml",
            r"
saga: order
version: 1
defaults:
  exchange: shop
  retry: { attempts: 7 }
  compensation: { timeout: 1m, retry: { backoff: 2s } }
steps:
  - name: reserve
    command: inventory.reserve
    exchange: stock
    timeout: 1h 30m
    retry: { backoff: 1s..5s }
    on_timeout: hold
    optional: true
    compensate: { command: inventory.release, retry: { attempts: 3 } }
  - name: look
    command: inventory.look
    payload:
    compensate: none
",
        )
        .expect("compiles");
        let [reserve, look] = compiled.definition.steps() else { panic!("two steps") };
        let retry = |attempts, first, most| Retry {
            attempts,
            first: Duration::from_millis(first),
            most: Duration::from_millis(most),
        };
        assert_eq!(command_step(reserve).command.timeout, Duration::from_mins(90));
        assert_eq!(command_step(reserve).command.retry, retry(7, 1_000, 5_000));
        assert_eq!((command_step(reserve).on_timeout, reserve.optional), (OnTimeout::Hold, true));
        let release = reserve.command(Direction::Compensate).expect("a compensation");
        assert_eq!(&*release.exchange, "stock", "the step's");
        assert_eq!(release.timeout, Duration::from_mins(1));
        assert_eq!(release.retry, retry(3, 2_000, 2_000));
        assert_eq!(
            (&*command_step(look).command.exchange, command_step(look).command.timeout),
            ("shop", Duration::from_secs(30))
        );
        assert_eq!(command_step(look).command.retry, retry(7, 200, 30_000));
        assert!(!look.has_compensation());
        assert!(
            matches!(&command_step(look).command.payload, Template::Literal(Value::Object(fields)) if fields.is_empty())
        );
        assert_eq!(compiled.key(&json!({})), Ok(None));
        assert_eq!(compiled.check_input(&json!([1])), Ok(()));
    }
}

/// Each file of `tests/broken` is refused with the diagnostics in its snapshot.
#[test]
fn broken_definitions_have_the_expected_diagnostics() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let sources = snorri_definition::read_directory(&directory).expect("the broken definitions");
    assert!(sources.len() >= 45);
    for Source { path, text, files } in sources {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let diagnostics = snorri_definition::compile_with(&name, &text, &files).expect_err(&name);
        let starts: Vec<_> = diagnostics.list.iter().map(|diagnostic| diagnostic.span.start).collect();
        assert!(starts.is_sorted(), "the diagnostics of {name} are in the order of its source");
        let settings = || {
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path("../broken");
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings
        };
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a stem");
        settings().bind(|| insta::assert_snapshot!(stem, diagnostics.plain()));
    }
}

mod diagnostics {
    use super::*;

    #[test]
    fn have_lines_and_columns_in_json() {
        let diagnostics = refused("    payload: { größe: \"${ inptu.x }\" }\n    colour: blue\n");
        insta::assert_snapshot!(serde_json::to_string_pretty(&diagnostics).expect("JSON"), @r#"
        {
          "file": "order.yaml",
          "omitted": 0,
          "diagnostics": [
            {
              "code": "E0402",
              "severity": "error",
              "message": "there is no `inptu` here",
              "line": 8,
              "column": 27,
              "end_line": 8,
              "end_column": 32,
              "help": "did you mean `input`?"
            },
            {
              "code": "E0202",
              "severity": "error",
              "message": "a command step has no `colour`",
              "line": 9,
              "column": 5,
              "end_line": 9,
              "end_column": 11,
              "help": "write `name`, `command`, `when`, `exchange`, `payload`, `policy`, `timeout`, `unroutable_timeout`, `retry`, `optional`, `pivot`, `on_timeout`, ..."
            }
          ]
        }
        "#);
    }

    #[test]
    fn are_rendered_with_colours_for_terminals() {
        let pretty = refused("    colour: blue\n").pretty();
        assert!(pretty.contains("\u{1b}[") && pretty.contains('╭'), "{pretty}");
        let plain = refused("    colour: blue\n").to_string();
        assert!(plain.is_ascii(), "{plain}");
    }

    #[test]
    fn are_not_endless() {
        let keys: String = (0..5_000).map(|n| format!("    k{n}: 1\n")).collect();
        let diagnostics = refused(&keys);
        assert_eq!((diagnostics.list.len(), diagnostics.omitted), (100, 4_900));
        assert!(diagnostics.plain().ends_with("...and 4900 more\n"));
    }
}

mod bombs {
    use super::*;

    fn aliases() -> String {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for n in 1..10 {
            let uses = vec![format!("*a{}", n - 1); 9].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{uses}]\n"));
        }
        text
    }

    #[rstest]
    #[case::aliases(aliases(), "E0103")]
    #[case::flow_depth("[".repeat(100_000), "E0103")]
    #[case::closed_flow_depth(format!("a: {}{}", "[".repeat(1_000), "]".repeat(1_000)), "E0103")]
    #[case::block_depth((0..300).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>(), "E0103")]
    #[case::dashes("- ".repeat(1_000), "E0103")]
    #[case::nodes(format!("a: [{}]", "1,".repeat(100_000)), "E0103")]
    #[case::self_reference("a: &a [*a]".into(), "E0101")]
    #[case::size("#".repeat(snorri_definition::MAX_SOURCE_BYTES + 1), "E0100")]
    #[case::wide_characters("é".repeat(snorri_definition::MAX_SOURCE_BYTES), "E0100")]
    fn are_refused(#[case] source: String, #[case] code: &str) {
        let diagnostics = snorri_definition::compile("bomb.yaml", &source).expect_err("refused");
        let codes: Vec<_> = diagnostics.list.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, [code], "{}", &diagnostics.plain()[..200.min(diagnostics.plain().len())]);
    }

    #[rstest]
    #[case::lists(format!("    payload: {}{}\n", "[".repeat(40), "]".repeat(40)))]
    #[case::mappings(format!("    payload: {}1{}\n", "{a: ".repeat(40), "}".repeat(40)))]
    #[case::schema(format!("input: {}{{}}{}\n", "{properties: {a: ".repeat(21), "}}".repeat(21)))]
    fn need_more_depth_than_is_allowed(#[case] extra: String) {
        let source = format!("{PIVOT}{extra}");
        snorri_definition::compile("deep.yaml", &source).expect("compiles");
    }

    #[rstest]
    #[case::keys((0..6_000).map(|n| format!("k{n}: 1, ")).collect::<String>())]
    #[case::expressions(format!("payload: [{}]", "\"${ nothing }\",".repeat(8_000)))]
    #[case::expressions_in_one_text(format!("payload: \"{}\"", "${a}".repeat(50_000)))]
    #[case::one_long_text(format!("payload: \"{} ${{ nothing }}\"", "x".repeat(200_000)))]
    fn on_one_line_have_short_diagnostics(#[case] inner: String) {
        let source = format!(
            "saga: order\nversion: 1\ndefaults: {{ exchange: shop }}\nsteps: [{{ name: ship, command: book, pivot: true, {inner} }}]\n"
        );
        let text = snorri_definition::compile("line.yaml", &source).expect_err("refused").plain();
        assert!(text.len() < 2_000_000, "{} bytes", text.len());
    }

    #[rstest]
    #[case::parentheses(format!("{}1{}", "(".repeat(1_500), ")".repeat(1_500)))]
    #[case::open("(".repeat(4_000))]
    #[case::negations("!".repeat(4_000))]
    #[case::too_long("1 + ".repeat(2_000))]
    #[case::calls(format!("{}1{}", "size(".repeat(500), ")".repeat(500)))]
    #[case::fields(format!("nothing{}", ".a".repeat(1_900)))]
    #[case::sums(format!("nothing{}", "+1".repeat(1_900)))]
    #[case::macros(format!("nothing{}", ".map(a,a)".repeat(400)))]
    #[case::known_sums(format!("1{}", "+1".repeat(1_900)))]
    #[case::known_fields(format!("input{}", ".a".repeat(1_900)))]
    #[case::known_macros(format!("input.a{}", ".map(a,a)".repeat(400)))]
    fn in_expressions_are_refused(#[case] expression: String) {
        let diagnostics = refused(&format!("    payload: \"${{ {expression} }}\"\n"));
        assert_eq!(diagnostics.list.len(), 1, "{diagnostics}");
    }
}

mod directories {
    use super::*;

    #[test]
    fn are_read_in_order_and_without_what_is_hidden_or_tests() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["b.yaml", "a.yml", ".hidden.yaml", "notes.md", "b.test.yaml", "a.test.yml"] {
            std::fs::write(directory.path().join(name), name).expect("written");
        }
        std::fs::create_dir(directory.path().join("c.yaml")).expect("a directory within");
        let read = snorri_definition::read_directory(directory.path()).expect("read");
        let names: Vec<_> =
            read.iter().map(|source| (source.path.file_name(), source.text.as_str())).collect();
        assert_eq!(names, [(Some("a.yml".as_ref()), "a.yml"), (Some("b.yaml".as_ref()), "b.yaml")]);
    }

    #[test]
    fn report_unreadable_files() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(snorri_definition::read_directory(directory.path().join("none")).is_err());
        let path: PathBuf = directory.path().join("large.yaml");
        std::fs::write(&path, "#".repeat(snorri_definition::MAX_SOURCE_BYTES + 1)).expect("written");
        let error = snorri_definition::read_directory(directory.path()).expect_err("too long");
        assert!(error.to_string().contains("large.yaml has 262145 bytes"), "{error}");
    }
}

fn command_step(step: &Step) -> &CommandStep {
    match &step.action {
        Action::Command(step) => step,
        other => panic!("a command, not {other:?}"),
    }
}
