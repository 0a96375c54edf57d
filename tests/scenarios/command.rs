//! `snorri test` as people run it: what it says, what it updates, and how it ends.

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
    let said = terminal.run("snorri test").await.expect(1);
    assert_eq!(said.err, "");
    insta::assert_snapshot!(steady(&said.out));

    let said = terminal.run("snorri test sagas/failing.test.yaml --filter passes").await.expect(0);
    insta::assert_snapshot!(steady(&said.out), @r"
        sagas/failing.test.yaml  parcel@3
          ✓ passes       0 ms  ...

        1 scenario: all pass; 0 ms of virtual time
        ");
    let said = terminal.run("snorri test --filter zzz").await.expect(2);
    insta::assert_snapshot!(said.err, @"
        error: no scenario has `zzz` in its name: the 5 are `passes`, `another way than expected`, `nothing is expected`, `what never happens` and `what is refused`
          help: see --help
        ");

    let said = terminal.run("snorri test --filter PASSES --coverage").await.expect(0);
    assert!(!said.out.contains("Outcomes"), "{}", said.out);
}

#[tokio::test]
async fn tells_programs_the_same() {
    let terminal = terminal(&["parcel.yaml", "failing.test.yaml"]);
    let said = terminal.run("snorri test --format json").await.expect(1);
    let told = said.json();
    assert_eq!((&told["passed"], &told["failed"]), (&1.into(), &4.into()));
    let wrong = &told["files"][0]["scenarios"][1];
    assert_eq!(wrong["differences"][0]["key"], "status");
    assert_eq!(wrong["differences"][0]["got"][0], "status: compensated");
    assert!(wrong["story"].as_array().is_some_and(|story| story.len() > 5));
    assert_eq!(told["coverage"][0]["definition"], "parcel");
    assert_eq!(told["coverage"][0]["total"], 31);
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
    let said = terminal.run("snorri test --min-coverage 50").await.expect(1);
    assert!(said.out.contains("fraud-check@1 has 0% of its outcomes tried, and needs 50%"), "{}", said.out);
    terminal.run("snorri test --min-coverage 50 --filter card").await.expect(2);
    let said = terminal.run("snorri test --min-coverage most").await.expect(2);
    assert!(said.err.contains("write a whole number from 0 to 100, like `90` or `90%`"), "{}", said.err);
    let out = terminal.ok("snorri test sagas/order.yaml --coverage").await;
    let (_, table) = out.split_once("Outcomes that some scenario tried:\n").expect("a table");
    insta::assert_snapshot!(steady(table), @r"
          order@1  100%  16 of 16
              ✓ reserve  success      an order goes through
              ✓ reserve  failure      what is sold out costs nothing
              ✓ reserve  retried      services that are slow to come up are asked again
              ✓ reserve  unknown      a reservation that nobody knows of is released all the same
              ✓ reserve  undone       a refused card releases the stock
              ✓ reserve  undo failed  a release that is refused is passed over by hand
              ✓ charge   success      an order goes through
              ✓ charge   failure      a refused card releases the stock
              ✓ charge   retried      services that are slow to come up are asked again
              ✓ charge   unknown      a payment that nobody knows of is paid back, even if it turns out later that it was made
              ✓ charge   undone       an order that cannot be shipped is paid back with what the participants returned
              ✓ charge   undo failed  nothing else is undone while a refund is refused
              ✓ ship     success      an order goes through
              ✓ ship     failure      an order that cannot be shipped is paid back with what the participants returned
              ✓ ship     retried      services that are slow to come up are asked again
              ✓ ship     unknown      a carrier that never answers needs somebody to ask there

        13 scenarios: all pass; 23m 00s of virtual time
        ");
}

#[tokio::test]
async fn says_what_is_wrong_with_files() {
    let terminal = terminal(&["parcel.yaml"]);
    let said = terminal.run("snorri test").await.expect(2);
    assert!(said.err.contains("there are no scenarios in sagas"), "{}", said.err);
    let said = terminal.run("snorri test sagas/parcel.yaml").await.expect(2);
    assert!(said.err.contains("write some into sagas/parcel.test.yaml"), "{}", said.err);
    let said = terminal.run("snorri test elsewhere.test.yaml").await.expect(2);
    assert!(said.err.contains("there is no elsewhere.test.yaml: name a directory"), "{}", said.err);
    let said = terminal.run("snorri test sagas/parcels.yaml").await.expect(2);
    assert!(said.err.contains("there is no sagas/parcels.yaml"), "{}", said.err);
    let said = Terminal::alone().run("snorri test").await.expect(2);
    assert!(said.err.contains("there is no sagas: run this from where it stands"), "{}", said.err);

    terminal.write("sagas/other.test.yaml", "definition: othr.yaml\nscenarios: []\n");
    let said = terminal.run("snorri test").await.expect(2);
    assert!(said.out.contains("E0701") && said.out.contains("sagas/othr.yaml"), "{}", said.out);

    terminal.write("sagas/other.test.yaml", "scenarios: [{ nam: x }]\n");
    terminal.write("sagas/other.yaml", "saga: other\n");
    let said = terminal.run("snorri test").await.expect(2);
    assert!(said.out.contains("needs `version`"), "{}", said.out);
    let said = terminal.run("snorri test sagas/other.yaml --update --format json").await.expect(2);
    assert_eq!(said.json()["broken"][0]["file"], "sagas/other.yaml");
}
