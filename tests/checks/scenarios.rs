//! Scenarios: those that ship, the report on a failing one, `--update`, and the diagnostics of broken files.

mod command;
mod participants;

use std::path::{Path, PathBuf};

use snorri_definition::{Compiled, Source};
use snorri_verify::scenario::{self, Coverage, Observed, Suite};

use crate::terminal::Terminal;

const PARCEL: &str = include_str!("../scenarios/parcel.yaml");
const INPUT: &str = "input: { parcelId: p-1, boxes: [a, b] }\n";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn parcel() -> Compiled {
    snorri_definition::compile("parcel.yaml", PARCEL).expect("a definition")
}

/// Runs the scenarios in `text` for the parcel.
#[track_caller]
fn run(text: &str) -> Vec<(scenario::Scenario, Observed)> {
    let compiled = parcel();
    let Suite { scenarios, .. } =
        scenario::read("parcel.test.yaml", &format!("{INPUT}{text}"), &compiled).expect("scenarios");
    let run = |scenario| {
        let observed = scenario::run(&compiled, &scenario);
        (scenario, observed)
    };
    scenarios.into_iter().map(run).collect()
}

/// Asserts that there are no differences and no objections.
#[track_caller]
fn passes(text: &str) {
    for (scenario, observed) in run(text) {
        let differing = scenario::expect::differing(&scenario, &observed);
        assert!(
            differing.is_empty() && observed.objections.is_empty(),
            "{}: {differing:#?} {:?} {:#?}",
            scenario.name,
            observed.objections,
            observed.entries
        );
    }
}

mod shipped {
    use super::*;

    #[test]
    fn scenarios_pass_and_leave_nothing_untried() {
        for Source { path, text, files } in
            snorri_definition::read_directory(root("sagas")).expect("the definitions that ship")
        {
            let compiled = snorri_definition::compile_with("it", &text, &files).expect("a definition");
            let file = path.with_extension("test.yaml");
            let text =
                std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{} is missing", file.display()));
            let suite = scenario::read(&file.display().to_string(), &text, &compiled).expect("scenarios");
            let mut coverage = Coverage::of(&compiled.definition);
            for scenario in &suite.scenarios {
                let observed = scenario::run(&compiled, scenario);
                let differing = scenario::expect::differing(scenario, &observed);
                assert!(scenario.expects_something(), "{}", scenario.name);
                assert!(differing.is_empty(), "{}: {differing:#?}", scenario.name);
                assert!(observed.objections.is_empty(), "{}: {:?}", scenario.name, observed.objections);
                coverage.take(&compiled.definition, &scenario.name, &observed);
            }
            assert_eq!(coverage.never_tried(), [], "{}", path.display());
            assert_eq!(coverage.percent(), 100);
        }
    }

    #[test]
    fn scenarios_take_the_same_path_every_time() {
        let compiled = snorri_definition::compile("order.yaml", include_str!("../../sagas/order.yaml"))
            .expect("a definition");
        let text = include_str!("../../sagas/order.test.yaml");
        let run = || -> Vec<_> {
            let suite = scenario::read("order.test.yaml", text, &compiled).expect("scenarios");
            suite.scenarios.iter().map(|scenario| scenario::run(&compiled, scenario).entries).collect()
        };
        assert_eq!(run(), run());
    }

    #[test]
    fn scenarios_are_not_taken_for_definitions() {
        let sources = snorri_definition::read_directory(root("sagas")).expect("the definitions that ship");
        assert!(sources.iter().all(|source| !source.path.display().to_string().contains(".test.")));
        for (name, is) in
            [("order.test.yaml", true), ("order.test.yml", true), ("test.yaml", false), ("order.yaml", false)]
        {
            assert_eq!(snorri_definition::is_scenarios(Path::new(name)), is, "{name}");
        }
    }
}

/// The example of the page on testing has a failing scenario, and the page shows the output.
#[tokio::test]
async fn the_example_of_the_page_has_the_output_of_the_page() {
    let page = include_str!("../../docs/testing.md");
    let block = |kind: &str| {
        let (_, rest) = page.split_once(&format!("```{kind}\n")).expect("a block");
        rest.split_once("```").expect("its end").0
    };
    let terminal = Terminal::alone();
    terminal.write("sagas/order.yaml", include_str!("../../sagas/order.yaml"));
    terminal.write("sagas/order.test.yaml", block("yaml"));
    let output = terminal.run("snorri test").await.expect(1);
    let shown = block("console").strip_prefix("$ snorri test\n").expect("a command");
    assert_eq!(steady(&output.out), steady(shown));
}

/// All events in the list of the page are valid.
#[test]
fn the_events_of_the_page_are_valid() {
    let page = include_str!("../../docs/testing.md");
    let (_, rest) = page.split_once("```yaml\nwhen:").expect("a block");
    let when = rest.split_once("```").expect("its end").0.replace("\n  -", "\n      -");
    let definition = include_str!("../../sagas/order.yaml").replace(
        "  - name: ship",
        "  - wait: { signal: approved }\n    timeout: 1d\n  - wait: { event: payment.settled, exchange: e, correlate: \"${ event.orderId }\" }\n    \
         timeout: 1d\n  - name: ship",
    );
    let compiled = snorri_definition::compile("order.yaml", &definition).expect("a definition");
    let text =
        format!("input: {{ orderId: o-1, amount: 90 }}\nscenarios:\n  - name: all of it\n    when:{when}");
    scenario::read("order.test.yaml", &text, &compiled).expect("scenarios");
}

/// Removes the real durations, which differ from run to run.
fn steady(out: &str) -> String {
    let line = |line: &str| match line.rsplit_once("  ") {
        Some((kept, took)) if took.ends_with(" ms") && took.contains('.') => format!("{kept}  ..."),
        _ => match line.split_once(" of virtual time in ") {
            Some((kept, _)) => format!("{kept} of virtual time"),
            None => line.to_owned(),
        },
    };
    out.lines().map(|text| line(text) + "\n").collect()
}

/// A stub that is not used is an error in a scenario, unless the whole file shares it.
#[test]
fn unused_stubs_are_reported() {
    let objections =
        |text: &str| -> Vec<_> { run(text).into_iter().flat_map(|(_, it)| it.objections).collect() };
    let shared = "stubs: { 'pack[9]': error, truck: error }\nscenarios:\n  - name: it\n    when: [{ signal: released }]\n";
    assert_eq!(objections(shared), [] as [&str; 0]);
    let own = format!(
        "{shared}    stubs: {{ 'pack[9]': {{ failure: wet }}, compensate van: error, pack: success }}\n"
    );
    assert_eq!(
        objections(&own),
        [
            "`pack[9]` never began: its stub was not used",
            "`compensate van` never began: its stub was not used"
        ]
    );
}

/// Durations in reports can be copied into `duration`.
#[test]
fn durations_of_reports_can_be_read() {
    passes(
        "scenarios:
  - { name: days, when: [{ at: 1d, signal: released }], expect: { duration: 1d 0h } }
  - { name: hours, when: [{ at: 3h, signal: released }], expect: { duration: 3h 00m } }
  - { name: seconds, when: [{ at: 3500ms, signal: released }], expect: { duration: 3.5 s } }
  - { name: at once, when: [{ signal: released }], expect: { duration: 0 ms } }
",
    );
}

mod events {
    use super::*;

    #[test]
    fn come_at_their_time_and_in_their_order() {
        passes(
            "scenarios:
  - name: a signal at a time
    when: [{ at: 3h, signal: released }]
    expect: { status: completed, duration: 3h, events: [parcel.leaving: { parcel: p-1 }] }
  - name: one after the other
    when: [{ after: released, pause: }, { delay: 2d, resume: }, { delay: 1h, signal: released }]
    expect: { status: completed, duration: 2d 1h }
  - name: a second attempt
    stubs: { van: no_reply }
    when: [{ after: 'van#2', delay: 1s, reply: 'van#1' }, { signal: released }]
    expect: { status: completed }
  - name: stopped on the way
    when: [{ at: 1h, stop: }]
    expect: { status: running, duration: 1h }
",
        );
    }

    #[test]
    fn are_what_operators_do() {
        passes(
            "stubs: { hand_over: no_reply }
scenarios:
  - name: resolve as done
    when: [{ signal: released }, { resolve: hand_over, output: { tracking: t-1 } }]
    expect: { status: completed, output: { tracking: t-1 } }
  - name: resolve as not done
    when: [{ signal: released }, { resolve: hand_over, outcome: failed }]
    expect: { status: compensated }
  - name: give up
    when: [{ signal: released }, abandon]
    expect: { status: abandoned }
  - name: too soon
    when: [{ at: 0s, rollback: , refused: not_stuck }, { signal: released }]
    expect: { status: stuck, incident: { step: hand_over } }
",
        );
    }
}

/// The input that triggers build from an event, and from a time.
#[test]
fn sagas_are_started_by_their_triggers() {
    let source = "saga: report\nversion: 1\nkey: ${ input.day }\nstart:\n  - { event: day.over, exchange: e, when: \"${ event.sales > 0 }\", input: { day: \"${ event.day }\" } }\n  \
                  - { schedule: 0 3 * * *, input: { day: \"${ schedule.time }\" } }\nsteps:\n  \
                  - { name: write, command: report.write, exchange: e, payload: \"${ input }\", compensate: none }\n";
    let compiled = snorri_definition::compile("report.yaml", source).expect("a definition");
    let read = |start: &str| {
        let text = format!("scenarios: [{{ name: x, start: {start} }}]");
        scenario::read("report.test.yaml", &text, &compiled)
    };
    let sent = |start: &str| {
        let suite = read(start).expect("a scenario");
        let observed = scenario::run(&compiled, &suite.scenarios[0]);
        format!("{:?}", observed.entries[0].facts[0])
    };
    assert!(sent("{ event: day.over, body: { day: monday, sales: 3 } }").contains("monday"));
    assert!(sent("{ schedule: 2026-11-21T03:00:00Z }").contains("2026-11-21T03:00:00Z"));
    let wrong = |start: &str| read(start).expect_err("no scenario").to_string();
    assert!(wrong("{ event: day.over, body: { day: monday, sales: 0 } }").contains("its `when` is false"));
    let without = wrong("{ event: day.over, body: { dy: monday, sales: 3 } }");
    assert!(without.contains("no input can be built from it: it has no `day`"), "{without}");
    assert!(without.contains("did you mean `dy`?"), "{without}");
    let nested = source.replace("${ input.day }", "${ input.on.day }");
    let nested = snorri_definition::compile("report.yaml", &nested).expect("a definition");
    let text = "scenarios: [{ name: x, input: { on: { dayy: monday } } }]";
    let without = scenario::read("report.test.yaml", text, &nested).expect_err("no scenario").to_string();
    assert!(without.contains("did you mean `dayy`?"), "{without}");
    let text = "scenarios: [{ name: x, input: { Day: monday } }]";
    let without = scenario::read("report.test.yaml", text, &compiled).expect_err("no scenario").to_string();
    assert!(without.contains("the key cannot be built from this input: it has no `day`"), "{without}");
    assert!(without.contains("did you mean `Day`?"), "{without}");
    assert!(wrong("{ event: day.ovr }").contains("did you mean `day.over`?"));
}

#[test]
fn coverage_counts_the_outcomes_of_each_step() {
    let compiled = parcel();
    let mut coverage = Coverage::of(&compiled.definition);
    assert_eq!((coverage.tried(), coverage.outcomes.len()), (0, 31));
    let text =
        "scenarios: [{ name: works, when: [{ signal: released }] }, { name: fails, stubs: { van: error } }]";
    for (scenario, observed) in run(text) {
        coverage.take(&compiled.definition, &scenario.name, &observed);
    }
    let never_tried: Vec<_> = coverage
        .never_tried()
        .iter()
        .map(|(step, outcomes)| format!("{step}: {}", outcomes.join(", ")))
        .collect();
    insta::assert_snapshot!(format!("{}%\n{}", coverage.percent(), never_tried.join("\n")), @r"
    38%
    pack: failure, retried, unknown, compensation failed
    insurance: success, failure, compensated, compensation failed
    route: branch 1
    truck: success, failure, retried, unknown
    van: failure, compensation failed
    released: timed out
    hand_over: failure, retried, unknown
    ");
}

/// Each file of `tests/scenarios/broken` is refused with the diagnostics in its snapshot.
#[test]
fn broken_files_have_the_expected_diagnostics() {
    let compiled = parcel();
    let sources =
        snorri_definition::read_directory(root("tests/scenarios/broken")).expect("the broken files");
    assert!(sources.len() >= 8);
    for Source { path, text, .. } in sources {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a stem");
        let diagnostics = scenario::read(&format!("{stem}.test.yaml"), &text, &compiled).expect_err(stem);
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../scenarios/broken");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(stem, diagnostics.plain()));
    }
}

/// Updates a file with stale expectations. Everything else in it stays as it was.
#[test]
fn updates_replace_only_what_was_wrong() {
    let compiled = parcel();
    let stale = include_str!("../scenarios/stale.test.yaml");
    let observe = |text: &str| -> Vec<(scenario::Scenario, Observed)> {
        let suite = scenario::read("stale.test.yaml", text, &compiled).expect("scenarios");
        let run = |scenario: scenario::Scenario| {
            let observed = scenario::run(&compiled, &scenario);
            (scenario, observed)
        };
        suite.scenarios.into_iter().map(run).collect()
    };
    let update = |text: &str| {
        let runs = observe(text);
        let runs: Vec<_> = runs.iter().map(|(scenario, observed)| (scenario, observed)).collect();
        let updated = scenario::updated(text, &runs);
        let suite = scenario::read("stale.test.yaml", &updated.text, &compiled).expect("scenarios");
        assert!(updated.is_intended(text, &suite, &runs));
        updated.text
    };
    let updated = update(stale);
    for (scenario, observed) in observe(&updated) {
        assert_eq!(scenario::expect::differing(&scenario, &observed), [], "{}", scenario.name);
        assert!(scenario.expects_something(), "{}", scenario.name);
    }
    assert_eq!(update(&updated), updated, "there is nothing left to update");
    let with_mark = format!("\u{feff}{}", stale.replace('\n', "\r\n"));
    assert!(update(&with_mark).starts_with('\u{feff}'));
    insta::assert_snapshot!(updated);

    let braces = "input: { parcelId: p, boxes: [] }\nscenarios: [{ name: x, expect: { status: stuck } }]\n";
    let runs = observe(braces);
    let left = scenario::updated(braces, &[(&runs[0].0, &runs[0].1)]);
    assert_eq!((left.text.as_str(), left.left), (braces, vec!["x".to_owned()]));
}
