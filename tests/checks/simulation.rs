//! Simulated runs: faults occur at their rates, each run ends, and the same seed gives the same result.

use std::path::PathBuf;
use std::sync::Arc;

use snorri_definition::Compiled;
use snorri_verify::simulation::{self, Faults, Plan, Report, Tally, simulate};

const RUNS: u64 = 4_000;

#[test]
fn faults_occur_at_their_rates() {
    let report = run("order", "failure charge=2%", RUNS);
    near(ended(&report, "compensated"), RUNS, 0.02);
    near(step(&report, "charge").refused, RUNS, 0.02);
    assert_eq!(ended(&report, "completed") + ended(&report, "compensated"), RUNS);
    assert_eq!(step(&report, "reserve").compensated, ended(&report, "compensated"));

    let report = run("order", "timeout reserve=5%", RUNS);
    let attempts = step(&report, "reserve").attempts;
    near(step(&report, "reserve").retries, attempts, 0.05);
    assert!(step(&report, "reserve").took.p99 >= 10_000, "it waited for the deadline");

    let report = run("order", "failure ship=10%, compensation-failure reserve=50%", RUNS);
    near(ended(&report, "stuck"), RUNS, 0.05);

    let report = run("order", "cancel 30%", RUNS);
    let share = ended(&report, "compensated");
    assert!(share > RUNS / 20 && share < RUNS * 3 / 10, "{share}: some come too late");
}

/// Within four standard deviations of the binomial distribution.
fn near(count: u64, of: u64, rate: f64) {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (count, of) = (count as f64, of as f64);
    let deviation = (of * rate * (1.0 - rate)).sqrt();
    assert!((count - of * rate).abs() < 4.0 * deviation, "{count} of {of} at {rate}");
}

#[test]
fn every_run_ends() {
    let everything =
        "failure *=2%, error *=5%, timeout *=5%, late *=2%, compensation-failure *=2%, cancel 5%";
    for name in NAMES {
        let report = run(name, everything, 300);
        assert_eq!(report.ends.iter().map(|end| end.runs).sum::<u64>(), 300, "{name}");
        assert_eq!(ended(&report, "unfinished"), 0, "{name}");
        let counted: u64 = report.histogram.iter().flat_map(|bucket| bucket.runs.values()).sum();
        assert_eq!(counted, 300, "{name}");
        for step in &report.steps {
            assert!(step.refused + step.unknown <= step.attempts.max(step.begun), "{name}: {step:?}");
            assert!(step.compensated <= step.undos + step.held, "{name}: {step:?}");
        }
    }
}

#[test]
fn made_up_values_let_every_definition_complete() {
    for name in NAMES {
        let report = run(name, "", 50);
        assert_eq!(ended(&report, "completed"), 50, "{name}: {:?} {:?}", report.ends, report.causes);
    }
}

#[test]
fn the_same_seed_is_the_same_run_however_it_is_shared() {
    let plan = plan("travel-booking", "failure *=3%, timeout *=3%, cancel 3%");
    let whole = simulate(&plan, 0..300);
    let parts = [200..300, 0..150, 150..200].map(|runs| simulate(&plan, runs));
    let parts = parts.into_iter().fold(Tally::default(), Tally::with);
    let render = |tally| simulation::text(&simulation::report(&plan, tally));
    assert_eq!(render(whole.clone()), render(parts));
    assert_eq!(whole, simulate(&plan, 0..300));
    let other = Plan { seed: 2, ..plan };
    assert_ne!(whole, simulate(&other, 0..300));
}

/// A run that is refused at 1% is also refused at 3%, so two rates can be compared.
#[test]
fn more_faults_leave_all_other_luck_as_it_is() {
    let (few, many) = (run("order", "failure charge=1%", 2_000), run("order", "failure charge=3%", 2_000));
    assert_eq!(step(&few, "reserve").took, step(&many, "reserve").took);
    assert!(step(&few, "charge").refused < step(&many, "charge").refused);
}

#[test]
fn a_child_is_simulated_too() {
    let mut plan = plan("payment", "failure case=20%");
    plan.input = Arc::new(serde_json::json!({"paymentId": "p-1", "amount": 5_000}));
    let report = simulation::report(&plan, simulate(&plan, 0..500));
    assert_eq!(step(&report, "fraud").begun, 500);
    near(step(&report, "case").refused, 500, 0.2);
    assert_eq!(ended(&report, "compensated"), step(&report, "case").refused);
}

/// As in the engine: the business key belongs to the child of the first step.
#[test]
fn a_child_with_the_business_key_of_another_is_refused() {
    let compiled =
        |text: &str| Arc::new(snorri_definition::compile("saga.yaml", text).expect("a definition"));
    let pick = compiled(
        "
saga: pick
version: 1
input: { type: object, required: [order], properties: { order: { type: string } } }
key: ${ input.order }
steps:
  - { name: fetch, command: stock.fetch, exchange: e, compensate: none }
",
    );
    let pack = compiled(
        "
saga: pack
version: 1
input: { type: object, required: [order], properties: { order: { type: string } } }
steps:
  - { name: first, saga: pick, version: 1, input: { order: '${ input.order }' } }
  - { name: second, saga: pick, version: 1, input: { order: '${ input.order }' } }
",
    );
    let plan = Plan::new(pack, vec![pick], 1);
    let report = simulation::report(&plan, simulate(&plan, 0..20));
    assert_eq!(ended(&report, "compensated"), 20, "{:?}", report.ends);
    assert!(format!("{:?}", report.causes).contains("key_in_use"), "{:?}", report.causes);
}

#[test]
fn unusable_faults_are_reported() {
    let mut faults = Faults::default();
    assert!(faults.add("failure charge").is_err());
    assert!(faults.add("failure charge=120%").is_err());
    assert!(faults.add("sabotage charge=1%").is_err());
    let unknown = plan("order", "failure chrage=1%").mistakes();
    assert_eq!(
        unknown,
        ["there is no step `chrage`: did you mean `charge`? There are: reserve, charge, ship"]
    );
    let much = plan("order", "failure ship=60%, timeout ship=60%").mistakes();
    assert_eq!(much, ["the faults of `ship` sum up to 120.0%"]);
}

#[test]
fn faults_that_no_step_can_have_are_reported() {
    let mistakes = |name: &str, faults: &str| plan(name, faults).mistakes().join("; ");
    for (definition, faults, why) in [
        (
            "travel-booking",
            "failure approval=2%",
            "there is no failure of `approval`: it is a wait, which has no reply \
             (`--signal approval=2h` sets when it ends); steps that can have one: seat, room, tickets",
        ),
        (
            "travel-booking",
            "timeout legs=2%",
            "there is no timeout of `legs`: it is a for_each: set it for the steps in it; \
             steps that can have one: seat, room, tickets",
        ),
        (
            "travel-booking",
            "compensation-failure tickets=2%",
            "there is no compensation-failure of `tickets`: it is the pivot, which is never compensated; \
             steps that can have one: seat, room",
        ),
        (
            "payment",
            "failure fraud=2%",
            "there is no failure of `fraud`: it is the saga `fraud-check`, which is simulated too: set it for its steps; \
             steps that can have one: authorize, capture, score, case",
        ),
    ] {
        assert_eq!(mistakes(definition, faults), why);
    }
    assert_eq!(mistakes("travel-booking", "failure seat=2%, compensation-failure *=1%"), "");
    let mut alone = Plan::new(compile("payment"), Vec::new(), 1);
    alone.faults.add("failure fraud=2%").expect("faults");
    assert!(alone.mistakes().is_empty(), "a participant replies for a child that is unknown");
    for name in ["cas", "fraud"] {
        let mut plan = plan("payment", "");
        plan.outputs.insert(name.into(), Arc::default());
        assert_eq!(plan.mistakes().len(), 1, "{name}");
    }
}

/// Optional fields that expressions guard with `has()` are left out; others are generated from their schema.
#[test]
fn made_up_input_is_the_least_that_its_schema_allows() {
    let text = |count: &str| {
        format!(
            "
saga: pack
version: 1
input:
  type: object
  required: [rooms]
  properties:
    piano: {{ type: boolean }}
    rooms:
      type: array
      items: {{ type: object, properties: {{ name: {{ type: string }}, boxes: {{ type: integer }} }} }}
steps:
  - for_each: ${{ input.rooms }}
    as: room
    steps:
      - name: box
        command: box.pack
        exchange: e
        payload: {{ name: '${{ room.name }}', count: '${{ {count} }}' }}
        compensate: none
  - name: hoist
    command: hoist.rent
    exchange: e
    when: ${{ has(input.piano) && input.piano }}
    pivot: true
"
        )
    };
    let made = |count: &str| {
        let compiled = snorri_definition::compile("pack.yaml", &text(count)).expect("a definition");
        let input = simulation::example::input(&compiled);
        assert!(compiled.check_input(&input).is_ok(), "{input}");
        input.to_string()
    };
    assert_eq!(made("has(room.boxes) ? room.boxes : 0"), r#"{"rooms":[{"name":"name-1"}]}"#);
    assert_eq!(made("room.boxes"), r#"{"rooms":[{"boxes":1,"name":"name-1"}]}"#);
}

#[test]
fn only_commands_are_counted_as_commands() {
    let report = run("travel-booking", "", 10);
    let sent = |name: &str| step(&report, name).commands;
    assert_eq!((sent("approval"), sent("tickets")), (0, 10));
    let comparison = simulation::comparison(&[("no faults".into(), report.clone())]);
    let each = report.steps.iter().map(|step| step.commands).sum::<u64>() / 10;
    assert!(comparison.contains(&format!("commands a run        {each}.00")), "{comparison}");
}

#[test]
fn a_comparison_lists_steps_that_no_run_reached() {
    let reports = ["no faults", "failure score=100%"].map(|faults| {
        let plan = plan("payment", "");
        (faults.to_owned(), simulation::report(&plan, simulate(&plan, 0..10)))
    });
    let comparison = simulation::comparison(&reports);
    assert_eq!(comparison.matches("note: no run reached fraud").count(), 1, "{comparison}");
}

#[test]
fn a_report() {
    let report =
        run("order", "failure charge=2%, timeout *=0.5%, compensation-failure reserve=5%, cancel 1%", 2_000);
    insta::assert_snapshot!(simulation::text(&report));
}

#[test]
fn a_comparison() {
    let reports = ["", "failure charge=2%", "timeout charge=2%"].map(|faults| {
        (if faults.is_empty() { "no faults" } else { faults }.to_owned(), run("order", faults, 2_000))
    });
    insta::assert_snapshot!(simulation::comparison(&reports));
}

const NAMES: [&str; 8] = [
    "account-deposit",
    "bank-transfer",
    "firmware-rollout",
    "fraud-check",
    "order",
    "order-fulfilment",
    "payment",
    "travel-booking",
];

fn run(name: &str, faults: &str, runs: u64) -> Report {
    let plan = plan(name, faults);
    simulation::report(&plan, simulate(&plan, 0..runs))
}

fn plan(name: &str, faults: &str) -> Plan {
    let mut plan = Plan::new(compile(name), vec![compile("fraud-check")], 1);
    if !faults.is_empty() {
        plan.faults.add(faults).expect("faults");
    }
    plan
}

fn compile(name: &str) -> Arc<Compiled> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("sagas/{name}.yaml"));
    let source = snorri_definition::read_definition(&path).expect("readable");
    Arc::new(snorri_definition::compile_with(name, &source.text, &source.files).expect("a definition"))
}

fn ended(report: &Report, end: &str) -> u64 {
    report.ends.iter().find(|it| it.end == end).map_or(0, |it| it.runs)
}

fn step<'a>(report: &'a Report, name: &str) -> &'a simulation::StepReport {
    report.steps.iter().find(|it| it.step == name).expect("a step")
}
