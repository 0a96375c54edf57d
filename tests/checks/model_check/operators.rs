//! An operator who intervenes in every state.

use std::path::Path;

use snorri_verify::model_check::{Bounds, ModelCheck, Operator, Rule, Surroundings, check_model};

use super::{compiled, shipped};

const EVERYWHERE: Bounds =
    Bounds { states: 20_000, work: 4_000_000, attempts: 2, items: 2, operator: Operator::Everywhere(1) };

/// Violations, except those that a definition can cause.
fn violations(model: &ModelCheck) -> Vec<String> {
    let own = [Rule::ChildPastPivot, Rule::RefusedBesidePivot];
    let found = model.violations.iter().filter(|violation| !own.contains(&violation.rule));
    found.map(|found| format!("{:?} {:?}\n{}", found.rule, found.step, found.trace.join("\n"))).collect()
}

#[test]
fn breaks_nothing_in_the_definitions_that_ship() {
    for compiled in shipped() {
        let name = &compiled.definition.name;
        let model = check_model(&compiled.definition, &Surroundings::default(), &EVERYWHERE);
        assert_eq!(violations(&model), Vec::<String>::new(), "{name}");
        let is_whole = !model.left_out.iter().any(|what| what.contains("interventions"));
        assert!(is_whole && !model.is_cut, "{name}: {:?}", model.left_out);
        assert!(model.with_operator.states > model.states, "{name}: {:?}", model.with_operator);
    }
}

#[test]
fn may_intervene_twice() {
    let source = include_str!("../../../sagas/order.yaml");
    let bounds = Bounds { operator: Operator::Everywhere(2), ..EVERYWHERE };
    let model = check_model(&compiled(source).definition, &Surroundings::default(), &bounds);
    assert_eq!(violations(&model), Vec::<String>::new());
    let once = check_model(&compiled(source).definition, &Surroundings::default(), &EVERYWHERE);
    assert!(once.with_operator.states < model.with_operator.states);
}

#[test]
fn breaks_nothing_in_unusual_definitions() {
    let bounds = Bounds { states: 400, ..EVERYWHERE };
    let around = Surroundings { is_child: true, ..Surroundings::default() };
    let mut tried = 0;
    for directory in ["tests/unusual", "tests/graph", "tests/mistakes"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        for path in snorri_definition::list_directory(&directory).expect("definitions") {
            let Ok(source) = snorri_definition::read_definition(&path) else { continue };
            // Most of the mistakes do not compile.
            let Ok(compiled) = snorri_definition::compile_with("saga.yaml", &source.text, &source.files)
            else {
                continue;
            };
            tried += 1;
            let model = check_model(&compiled.definition, &around, &bounds);
            assert_eq!(violations(&model), Vec::<String>::new(), "{}", path.display());
        }
    }
    assert!(tried > 40, "{tried} definitions");
}

#[test]
fn changes_no_figure_of_what_happens_without_one() {
    let source = include_str!("../../../sagas/order-fulfilment.yaml");
    let figures = |operator| {
        let bounds = Bounds { operator, ..Bounds::default() };
        let model = check_model(&compiled(source).definition, &Surroundings::default(), &bounds);
        (model.states, model.transitions, model.ends, model.left_out, model.with_operator)
    };
    let (states, transitions, ends, left_out, none) = figures(Operator::Absent);
    assert_eq!((none.states, none.transitions), (0, 0));
    for operator in [Operator::BySituation, Operator::Everywhere(1)] {
        let with = figures(operator);
        assert_eq!((states, transitions, &ends, &left_out), (with.0, with.1, &with.2, &with.3));
        assert!(with.4.transitions > 0);
    }
}

#[test]
fn who_is_cut_off_is_reported() {
    let source = include_str!("../../../sagas/order.yaml");
    let of = |states, operator| {
        let bounds = Bounds { states, operator, ..EVERYWHERE };
        check_model(&compiled(source).definition, &Surroundings::default(), &bounds)
    };
    let alone = of(20_000, Operator::Absent).states;
    let model = of(alone + 1, Operator::Everywhere(1));
    assert!(!model.is_cut, "what happens without an operator was explored");
    let expected = format!("an operator's interventions beyond {} states", alone + 1);
    assert!(model.left_out.contains(&expected), "{:?}", model.left_out);
}
