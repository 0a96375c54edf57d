//! Pictures and simulations: what is printed, and what is said if there is nothing to print.

use super::terminal::Terminal;

const SAGAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sagas");

#[tokio::test]
async fn a_definition_is_drawn_as_the_name_of_the_output_says() {
    let terminal = Terminal::alone();
    for (name, begins) in
        [("order.svg", "<svg "), ("order.mmd", "---\ntitle: \"order v1\""), ("order.dot", "digraph")]
    {
        let file = terminal.path(name);
        terminal.ok(&format!("snorri graph {SAGAS}/order.yaml -o {}", file.display())).await;
        let text = std::fs::read_to_string(&file).expect("a picture");
        assert!(text.starts_with(begins), "{name}: {text}");
    }
    let picture = terminal.ok(&format!("snorri graph {SAGAS}/order.yaml --no-undo --title Orders")).await;
    assert!(picture.contains(">Orders<") && !picture.contains("data-undo"));
    let flowchart =
        terminal.ok(&format!("snorri graph {SAGAS}/order.yaml --format mermaid --direction right")).await;
    assert!(flowchart.contains("flowchart LR"));
}

#[tokio::test]
async fn what_is_no_definition_is_not_drawn() {
    let terminal = Terminal::alone();
    let said = terminal.run("snorri graph nowhere.yaml").await.expect(2);
    assert!(said.err.contains("cannot read nowhere.yaml"), "{}", said.err);
    let said = terminal.run(&format!("snorri graph {SAGAS}/order.yaml -o order.png")).await.expect(2);
    assert!(said.err.contains(".png is none of .svg, .mmd, .mermaid, .dot and .gv"), "{}", said.err);
    assert!(!std::path::Path::new("order.png").exists());
    let file = terminal.write("odd.yaml", "saga: odd\nversion: 1\nsteps: [{ name: a, comand: b }]\n");
    let said = terminal.run(&format!("snorri graph {}", file.display())).await.expect(1);
    assert!(said.err.contains("comand") && said.err.contains("not a definition that runs"), "{}", said.err);
    assert!(said.out.is_empty(), "{}", said.out);
}

#[tokio::test]
async fn a_definition_is_drawn_by_its_name() {
    let terminal = Terminal::alone();
    let root = env!("CARGO_MANIFEST_DIR");
    let picture = terminal.ok(&format!("cd {root} && snorri graph order --title ''")).await;
    assert!(picture.contains(">order, version 1<"), "{picture}");
    let said = terminal.run(&format!("cd {root} && snorri graph ordr")).await.expect(2);
    assert!(said.err.contains("no definition `ordr`: did you mean `order`?"), "{}", said.err);
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let terminal = Terminal::alone();
    let file = terminal.path("order.yaml");
    std::fs::copy(format!("{SAGAS}/order.yaml"), &file).expect("a copy");
    std::fs::write(terminal.path("broken.yaml"), [0xff, 0xfe, 0xff]).expect("a file");
    let said = terminal.run(&format!("snorri simulate {} --runs 10", file.display())).await.expect(2);
    assert!(
        said.err.contains("broken.yaml: ") && said.err.contains("order.yaml is read with"),
        "{}",
        said.err
    );
    terminal.ok(&format!("snorri graph {}", file.display())).await;
    for option in ["--input-file nowhere.json", "--outputs nowhere.json"] {
        let said = terminal.run(&format!("snorri simulate {SAGAS}/order.yaml {option}")).await.expect(2);
        assert!(said.err.contains("cannot read nowhere.json"), "{}", said.err);
    }
}

#[tokio::test]
async fn a_simulation_is_the_same_every_time() {
    let terminal = Terminal::alone();
    let line = format!("snorri simulate {SAGAS}/order.yaml --runs 500 --failure charge=10% --seed 7");
    let first = terminal.ok(&line).await;
    assert!(
        first.contains("compensated, charge: refused") && first.contains("the input is made up"),
        "{first}"
    );
    assert_eq!(first, terminal.ok(&line).await);
    let report = terminal.run(&format!("{line} --format json")).await.expect(0).json();
    assert_eq!(report["runs"], 500);
    let both = terminal.ok(&format!("{line} --compare 'cancel 5%'")).await;
    assert!(both.contains("as given") && both.contains("cancel 5%"), "{both}");
}

#[tokio::test]
async fn what_cannot_be_simulated_is_wrong_usage() {
    let terminal = Terminal::alone();
    let order = format!("snorri simulate {SAGAS}/order.yaml");
    for (options, told) in [
        (
            "--failure chrage=2%",
            "there is no step `chrage`: did you mean `charge`? There are: reserve, charge, ship",
        ),
        ("--failure charge=two", "not a share between 0% and 100%"),
        ("--latency charge=fast", "not a duration"),
        ("--signal approved=1h", "it waits for named `approved`; there are: none"),
        ("--compare 'sabotage charge=1%'", "is not like `failure charge=2%`"),
        ("--input '{}'", "a saga cannot be started with the input {}"),
        ("--input '{}'", "input {}: \"orderId\" is a required property"),
        ("--input '{bad'", "the input is refused: it is not JSON"),
        ("--compare ''", "--compare '': nothing goes wrong in it"),
        ("--undo-failure charge=2% --failure nothing=1%", "there is no step `nothing`"),
        ("--runs 0", "a number from 1 to 1,000,000"),
    ] {
        let said = terminal.run(&format!("{order} {options}")).await.expect(2);
        assert!(said.err.contains(told), "{options}: {}", said.err);
    }
    let said = terminal.run("snorri simulate nothing").await;
    assert!(said.code != 0 && said.err.contains("nothing"), "{}", said.err);
}

/// A parent whose child stands beside it. `input` is what the child is started with.
fn family(terminal: &Terminal, input: &str) -> [std::path::PathBuf; 2] {
    let child = "saga: cleaning\nversion: 1\ninput: { type: object, required: [room] }\n\
                 defaults: { exchange: hotel.commands }\nsteps: [{ name: clean, command: room.clean, compensate: none }]\n";
    let parent = format!(
        "saga: departure\nversion: 1\ndefaults: {{ exchange: hotel.commands }}\nsteps:\n  \
         - {{ name: bill, command: bill.write, compensate: none }}\n  \
         - {{ name: cleaned, saga: cleaning, version: 1, input: {input} }}\n"
    );
    [terminal.write("departure.yaml", &parent), terminal.write("cleaning.yaml", child)]
}

#[tokio::test]
async fn a_file_is_checked_with_what_stands_beside_it() {
    let terminal = Terminal::alone();
    let [parent, child] = family(&terminal, "{ room: 7 }");
    terminal.write("unfinished.yaml", "saga: unfinished\n");
    std::fs::write(terminal.path("unreadable.yaml"), [0xff, 0xfe, 0xff]).expect("a file");
    let said = terminal.ok(&format!("snorri check {}", parent.display())).await;
    assert!(said.contains("1 definition: nothing wrong") && !said.contains("cleaning@1"), "{said}");
    let said = terminal
        .ok(&format!("cd {} && snorri check departure.yaml", parent.parent().expect("a directory").display()))
        .await;
    assert!(said.contains("nothing wrong"), "{said}");
    std::fs::remove_file(child).expect("removed");
    let said = terminal.ok(&format!("snorri check {}", parent.display())).await;
    assert!(said.contains("E0342") && said.contains("1 warning"), "{said}");
}

#[tokio::test]
async fn what_check_refuses_is_neither_drawn_nor_simulated_nor_tested() {
    let terminal = Terminal::alone();
    let [refused_beside, _] = family(&terminal, "{ floor: 2 }");
    let refused_alone = terminal.write(
        "alone/stay.yaml",
        "saga: stay\nversion: 1\ndefaults: { exchange: hotel.commands }\nsteps:\n  \
         - { name: look, command: room.look, optional: true, compensate: none }\n  \
         - { name: book, command: room.book, compensate: { command: room.free, payload: { no: \"${ look.output.no }\" } } }\n",
    );
    for (file, code) in [(refused_beside, "E0343"), (refused_alone, "E0416")] {
        let scenarios = file.with_extension("test.yaml");
        std::fs::write(&scenarios, "scenarios:\n  - name: all is well\n    expect: { status: completed }\n")
            .expect("written");
        let file = file.display();
        let said = terminal.run(&format!("snorri check {file}")).await.expect(1);
        assert!(said.out.contains(code), "{}", said.out);
        for command in ["graph", "simulate --runs 10"] {
            let said = terminal.run(&format!("snorri {command} {file}")).await.expect(1);
            assert!(
                said.err.contains(code) && said.err.contains("not a definition that runs"),
                "{}",
                said.err
            );
            assert!(said.out.is_empty(), "{}", said.out);
        }
        let said = terminal.run(&format!("snorri test {file}")).await.expect(2);
        assert!(said.out.contains(code) && said.out.contains("was not run"), "{}", said.out);
    }
}
