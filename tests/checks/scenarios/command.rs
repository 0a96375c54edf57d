//! `snorri test` on the command line: its output, its updates, and its exit codes.

use super::*;

fn terminal(files: &[&str]) -> Terminal {
    let terminal = Terminal::alone();
    for file in files {
        let text = std::fs::read_to_string(root("tests/scenarios").join(file)).expect("a file");
        terminal.write(&format!("sagas/{file}"), &text);
    }
    terminal
}

#[tokio::test]
async fn shows_what_differs_and_what_happened() {
    let terminal = terminal(&["parcel.yaml", "failing.test.yaml"]);
    let output = terminal.run("snorri test").await.expect(1);
    assert_eq!(output.err, "");
    insta::assert_snapshot!(steady(&output.out));

    let output = terminal.run("snorri test sagas/failing.test.yaml --filter passes").await.expect(0);
    insta::assert_snapshot!(steady(&output.out), @r"
        sagas/failing.test.yaml  parcel@3
          ✓ passes       0 ms  ...

        1 scenario: all pass; 0 ms of virtual time
        ");
    let output = terminal.run("snorri test --filter zzz").await.expect(2);
    insta::assert_snapshot!(output.err, @"
        error: no scenario has `zzz` in its name: the 5 are `passes`, `another way than expected`, `nothing is expected`, `what never happens` and `what is refused`
          help: see --help
        ");

    let output = terminal.run("snorri test --filter PASSES --coverage").await.expect(0);
    assert!(!output.out.contains("Outcomes"), "{}", output.out);
}

#[tokio::test]
async fn prints_the_same_as_json() {
    let terminal = terminal(&["parcel.yaml", "failing.test.yaml"]);
    let output = terminal.run("snorri test --format json").await.expect(1);
    let report = output.json();
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &4.into()));
    let wrong = &report["files"][0]["scenarios"][1];
    assert_eq!(wrong["differences"][0]["key"], "status");
    assert_eq!(wrong["differences"][0]["got"][0], "status: compensated");
    assert!(wrong["journal"].as_array().is_some_and(|journal| journal.len() > 5));
    assert_eq!(report["coverage"][0]["definition"], "parcel");
    assert_eq!(report["coverage"][0]["total"], 31);
}

#[tokio::test]
async fn updates_files_in_place() {
    let terminal = terminal(&["parcel.yaml", "stale.test.yaml"]);
    terminal.run("snorri test").await.expect(1);
    let out = terminal.ok("snorri test sagas/stale.test.yaml --update").await;
    assert!(out.contains("  ✓ right "), "{out}");
    assert!(out.contains("  ~ between braces "), "{out}");
    assert!(out.contains("updated sagas/stale.test.yaml: 9 scenarios (~)"), "{out}");
    assert!(terminal.ok("snorri test").await.contains("all pass"));
}

/// An update that would change the expectations of another scenario is not written.
#[tokio::test]
async fn leaves_files_with_shared_expectations_as_they_are() {
    let terminal = terminal(&["parcel.yaml"]);
    let shared = "input: { parcelId: p, boxes: [] }\nscenarios:\n\
                  - name: wrong\n  when: [{ signal: released }]\n  expect: &shared { status: stuck }\n\
                  - name: right\n  stubs: { hand_over: no_reply }\n  when: [{ signal: released }]\n  expect: *shared\n";
    terminal.write("sagas/parcel.test.yaml", shared);
    let output = terminal.run("snorri test --update").await.expect(1);
    insta::assert_snapshot!(output.err, @"error: sagas/parcel.test.yaml is unchanged: the update would not give the observed values, or would change other values as well; write out what scenarios share by an anchor");
    let left = std::fs::read_to_string(terminal.path("sagas/parcel.test.yaml")).expect("the file");
    assert_eq!(left, shared);
}

#[tokio::test]
async fn can_ask_for_coverage() {
    let terminal = Terminal::alone();
    for file in ["order.yaml", "order.test.yaml", "fraud-check.yaml"] {
        terminal.write(
            &format!("sagas/{file}"),
            &std::fs::read_to_string(root("sagas").join(file)).expect("a file"),
        );
    }
    terminal.ok("snorri test sagas/order.yaml --min-coverage 100%").await;
    let output = terminal.run("snorri test --min-coverage 50").await.expect(1);
    assert!(output.out.contains("fraud-check@1 has a coverage of 0%, and needs 50%"), "{}", output.out);
    terminal.run("snorri test --min-coverage 50 --filter card").await.expect(2);
    let output = terminal.run("snorri test --min-coverage most").await.expect(2);
    assert!(
        output.err.contains("it must be a whole number from 0 to 100, such as `90` or `90%`"),
        "{}",
        output.err
    );
    let out = terminal.ok("snorri test sagas/order.yaml --coverage").await;
    let (_, table) = out.split_once("Covered outcomes:\n").expect("a table");
    insta::assert_snapshot!(steady(table), @r"
          order@1  100%  16 of 16
              ✓ reserve  success              an order goes through
              ✓ reserve  failure              an item that is sold out costs nothing
              ✓ reserve  retried              commands to slow services are retried
              ✓ reserve  unknown              a reservation with an unknown outcome is released
              ✓ reserve  compensated          a refused card releases the stock
              ✓ reserve  compensation failed  a release that is refused is skipped by an operator
              ✓ charge   success              an order goes through
              ✓ charge   failure              a refused card releases the stock
              ✓ charge   retried              commands to slow services are retried
              ✓ charge   unknown              a payment with an unknown outcome is paid back, even if its reply arrives later
              ✓ charge   compensated          an order that cannot be shipped is paid back with what the participants returned
              ✓ charge   compensation failed  nothing else is compensated while a refund is refused
              ✓ ship     success              an order goes through
              ✓ ship     failure              an order that cannot be shipped is paid back with what the participants returned
              ✓ ship     retried              commands to slow services are retried
              ✓ ship     unknown              a carrier that never answers needs an operator

        13 scenarios: all pass; 23m 00s of virtual time
        ");
}

#[tokio::test]
async fn reports_missing_files() {
    let terminal = terminal(&["parcel.yaml"]);
    let output = terminal.run("snorri test").await.expect(2);
    assert!(output.err.contains("there are no scenarios in sagas"), "{}", output.err);
    let output = terminal.run("snorri test sagas/parcel.yaml").await.expect(2);
    assert!(output.err.contains("create sagas/parcel.test.yaml"), "{}", output.err);
    let output = terminal.run("snorri test elsewhere.test.yaml").await.expect(2);
    assert!(output.err.contains("there is no elsewhere.test.yaml: name a directory"), "{}", output.err);
    let output = terminal.run("snorri test sagas/parcels.yaml").await.expect(2);
    assert!(output.err.contains("there is no sagas/parcels.yaml"), "{}", output.err);
    let output = Terminal::alone().run("snorri test").await.expect(2);
    assert!(
        output.err.contains("there is no sagas: run the command in its parent directory"),
        "{}",
        output.err
    );

    terminal.write("sagas/other.test.yaml", "definition: othr.yaml\nscenarios: []\n");
    let output = terminal.run("snorri test").await.expect(2);
    assert!(output.out.contains("E0701") && output.out.contains("sagas/othr.yaml"), "{}", output.out);

    terminal.write("sagas/other.test.yaml", "scenarios: [{ nam: x }]\n");
    terminal.write("sagas/other.yaml", "saga: other\n");
    let output = terminal.run("snorri test").await.expect(2);
    assert!(output.out.contains("needs `version`"), "{}", output.out);
    let output = terminal.run("snorri test sagas/other.yaml --update --format json").await.expect(2);
    assert_eq!(output.json()["broken"][0]["file"], "sagas/other.yaml");
}
