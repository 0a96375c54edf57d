//! The model check: its results on the definitions that ship, and on those that strand their sagas.
//! `planted` plants bugs in the core, and `properties` generates random definitions.

mod migrations;
mod operators;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use snorri_core::Direction;
use snorri_definition::Compiled;
use snorri_verify::check::check;
use snorri_verify::model_check::{Bounds, End, ModelCheck, Surroundings, check_model};

fn compiled(source: &str) -> Arc<Compiled> {
    Arc::new(snorri_definition::compile("saga.yaml", source).unwrap_or_else(|wrong| panic!("{wrong}")))
}

fn shipped() -> Vec<Arc<Compiled>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("sagas");
    let sources = snorri_definition::read_directory(directory).expect("the definitions that ship");
    sources.iter().map(|source| compiled(&source.text)).collect()
}

fn model_of(source: &str, bounds: &Bounds) -> ModelCheck {
    check_model(&compiled(source).definition, &Surroundings::default(), bounds)
}

fn ends(model: &ModelCheck) -> String {
    let mut text = String::new();
    let held = |end: &End| {
        let held = end.held.iter().map(|held| {
            let direction = held.direction.map_or("late", Direction::as_str);
            format!(" {}:{direction}", held.step)
        });
        held.collect::<String>()
    };
    for end in &model.ends {
        writeln!(text, "{:>16} {}{}", end.paths, end.status.as_str(), held(end)).expect("written");
    }
    text
}

mod the_definitions_that_ship {
    use super::*;

    #[test]
    fn are_explored_completely() {
        for compiled in shipped() {
            let model = check_model(&compiled.definition, &Surroundings::default(), &Bounds::default());
            assert_eq!(model.violations, [], "{}", compiled.definition.name);
            assert!(!model.is_cut, "{}", compiled.definition.name);
        }
    }

    #[test]
    fn have_these_ends() {
        let order = include_str!("../../sagas/order.yaml");
        insta::assert_snapshot!("ends_of_order", ends(&model_of(order, &Bounds::default())));
    }

    #[test]
    fn have_a_shortest_trace_for_each_end() {
        let model = model_of(include_str!("../../sagas/bank-transfer.yaml"), &Bounds::default());
        let compensated = model.ends.iter().find(|end| end.status.as_str() == "compensated").expect("an end");
        insta::assert_snapshot!("trace_of_a_compensated_transfer", compensated.trace.join("\n"));
    }
}

mod what_strands_a_saga {
    use super::*;

    fn findings(own: &str, others: &[&str]) -> String {
        let others: Vec<_> = others.iter().map(|source| compiled(source)).collect();
        let checked = check(&compiled(own), &others, &Bounds::default());
        checked.findings.plain()
    }

    #[test]
    fn is_a_child_that_cannot_be_compensated_any_more() {
        let child = "\
saga: parcel
version: 1
defaults: { exchange: parcels }
steps:
  - { name: book, command: parcel.book, pivot: true }
";
        let parent = "\
saga: order
version: 1
defaults: { exchange: shop, retry: { attempts: 1 } }
steps:
  - { name: parcel, saga: parcel, version: 1 }
  - { name: charge, command: payment.charge, compensate: { command: payment.refund } }
";
        insta::assert_snapshot!("child_past_its_pivot", findings(parent, &[child]));
        let parent_first = findings(child, &[parent]);
        assert!(parent_first.contains("`parcel` of order@1 starts this saga"), "{parent_first}");
        let first = parent
            .replace("version: 1 }", "version: 1, pivot: true }")
            .replace("compensate: { command: payment.refund }", "optional: true");
        assert_eq!(findings(&first, &[child]), "", "as the pivot it is not compensated");
    }

    #[test]
    fn is_a_refusal_parallel_to_the_pivot() {
        let order = "\
saga: order
version: 1
defaults: { exchange: shop, retry: { attempts: 1 } }
steps:
  - parallel:
      - - { name: ship, command: parcel.book, pivot: true }
      - - { name: charge, command: payment.charge, compensate: { command: payment.refund } }
";
        insta::assert_snapshot!("refused_parallel_to_the_pivot", findings(order, &[]));
    }
}

#[test]
fn a_cut_is_reported_and_findings_remain() {
    let child = "{ saga: parcel, version: 1, defaults: { exchange: x }, steps: [{ name: book, command: book, pivot: true }] }";
    let parent = "{ saga: order, version: 1, defaults: { exchange: x }, steps: [{ name: charge, command: charge, compensate: none }, { name: parcel, saga: parcel, version: 1 }] }";
    let bounds = Bounds { states: 3, ..Bounds::default() };
    let checked = check(&compiled(parent), &[compiled(child)], &bounds);
    assert!(checked.model_check.is_cut && checked.model_check.violations.is_empty());
    assert_eq!(
        checked.findings.list.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        ["E0612", "E0601"]
    );
}

#[test]
fn conditions_that_exclude_each_other_are_never_both_true() {
    let source = |one: &str, other: &str| {
        format!(
            "\
saga: order
version: 1
defaults: {{ exchange: shop }}
steps:
  - parallel:
      - - {{ name: ship, command: parcel.book, pivot: true, when: \"${{ {one} }}\" }}
      - - {{ name: charge, command: payment.charge, compensate: {{ command: payment.refund }}, when: \"${{ {other} }}\" }}
"
        )
    };
    let broken = |one, other| model_of(&source(one, other), &Bounds::default()).violations.len();
    assert_eq!(broken("input.vip", "!input.vip"), 0);
    assert_eq!(broken("input.kind == 'a'", "input.kind == 'b'"), 0);
    assert_eq!(broken("input.kind == 'a'", "input.kind == 'a'"), 1);
    assert_eq!(broken("input.vip", "input.rich"), 1);
}

#[test]
fn lists_of_many_kinds_of_items_are_tried_kind_by_kind() {
    let branches = (0..8).map(|kind| {
        format!("          - {{ when: \"${{ item.kind == {kind} }}\", steps: [{{ name: s{kind}, command: c{kind}, compensate: {{ command: u{kind} }} }}] }}\n")
    });
    let source = format!(
        "\
saga: order
version: 1
defaults: {{ exchange: shop }}
steps:
  - for_each: ${{ input.items }}
    steps:
      - choice:
{}",
        branches.collect::<String>()
    );
    let model = model_of(&source, &Bounds::default());
    for kind in 0..8 {
        let name = format!("s{kind}");
        let is_held = |end: &&End| end.held.iter().any(|held| held.step == name);
        assert!(model.ends.iter().find(is_held).is_some(), "{name} is never held: {}", ends(&model));
    }
}

mod bounds {
    use super::*;

    const ORDER: &str = include_str!("../../sagas/order-fulfilment.yaml");

    #[test]
    fn that_cut_are_reported() {
        let model = model_of(ORDER, &Bounds { states: 100, ..Bounds::default() });
        assert!(model.is_cut);
        assert_eq!(model.states, 100);
        insta::assert_snapshot!("what_was_cut", model.left_out.join("\n"));
    }

    #[test]
    fn change_nothing_but_numbers_where_attempts_are_alike() {
        let names = |attempts| {
            let model = model_of(ORDER, &Bounds { attempts, ..Bounds::default() });
            let mut names: Vec<_> =
                model.ends.iter().map(|end| format!("{:?} {:?}", end.status, end.held)).collect();
            names.sort();
            (names, model.violations)
        };
        assert_eq!(names(2), names(3));
        assert_eq!(names(2), names(5));
    }

    #[test]
    fn give_the_same_answer_every_time() {
        let once = || format!("{:?}", model_of(ORDER, &Bounds::default()));
        assert_eq!(once(), once());
    }
}

#[test]
fn branches_that_are_alike_are_tried_once() {
    let source = |second: &str| {
        format!(
            "\
saga: trip
version: 1
defaults: {{ exchange: travel }}
steps:
  - parallel:
      - - {{ name: room, command: hotel.hold, compensate: {{ command: hotel.release }} }}
      - - {{ name: seat, command: flight.hold, compensate: {{ command: flight.release }}{second} }}
"
        )
    };
    let alike = model_of(&source(""), &Bounds::default());
    let different = model_of(&source(", on_timeout: unknown"), &Bounds::default());
    assert_eq!(alike.called("seat"), "room/seat");
    assert_eq!(different.called("seat"), "seat");
    assert!(2 * different.states > 3 * alike.states, "{} and {} states", different.states, alike.states);
}
