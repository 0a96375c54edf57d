//! `graph`, `simulate` and `check`: their output and their errors.

use super::terminal::Terminal;

const SAGAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sagas");

#[tokio::test]
async fn the_name_of_the_output_selects_the_format_of_a_graph() {
    let terminal = Terminal::alone();
    for (name, begins) in
        [("order.svg", "<svg "), ("order.mmd", "---\ntitle: \"order v1\""), ("order.dot", "digraph")]
    {
        let file = terminal.path(name);
        terminal.ok(&format!("snorri graph {SAGAS}/order.yaml -o {}", file.display())).await;
        let text = std::fs::read_to_string(&file).expect("a picture");
        assert!(text.starts_with(begins), "{name}: {text}");
    }
    let picture =
        terminal.ok(&format!("snorri graph {SAGAS}/order.yaml --no-compensation --title Orders")).await;
    assert!(picture.contains(">Orders<") && !picture.contains("data-compensation"));
    let flowchart =
        terminal.ok(&format!("snorri graph {SAGAS}/order.yaml --format mermaid --direction right")).await;
    assert!(flowchart.contains("flowchart LR"));
}

#[tokio::test]
async fn a_missing_definition_has_no_graph() {
    let terminal = Terminal::alone();
    let output = terminal.run("snorri graph nowhere.yaml").await.expect(2);
    assert!(output.err.contains("cannot read nowhere.yaml"), "{}", output.err);
    let output = terminal.run(&format!("snorri graph {SAGAS}/order.yaml -o order.png")).await.expect(2);
    assert!(output.err.contains("unknown extension .png"), "{}", output.err);
    assert!(!std::path::Path::new("order.png").exists());
    let file = terminal.write("odd.yaml", "saga: odd\nversion: 1\nsteps: [{ name: a, comand: b }]\n");
    let output = terminal.run(&format!("snorri graph {}", file.display())).await.expect(1);
    let err = &output.err;
    assert!(err.contains("comand") && err.contains("is not a valid definition"), "{err}");
    assert!(output.out.is_empty(), "{}", output.out);
}

#[tokio::test]
async fn a_definition_is_drawn_by_its_name() {
    let terminal = Terminal::alone();
    let root = env!("CARGO_MANIFEST_DIR");
    let picture = terminal.ok(&format!("cd {root} && snorri graph order --title ''")).await;
    assert!(picture.contains(">order, version 1<"), "{picture}");
    let output = terminal.run(&format!("cd {root} && snorri graph ordr")).await.expect(2);
    assert!(output.err.contains("no definition `ordr`: did you mean `order`?"), "{}", output.err);
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let terminal = Terminal::alone();
    let file = terminal.path("order.yaml");
    std::fs::copy(format!("{SAGAS}/order.yaml"), &file).expect("a copy");
    std::fs::write(terminal.path("broken.yaml"), [0xff, 0xfe, 0xff]).expect("a file");
    let output = terminal.run(&format!("snorri simulate {} --runs 10", file.display())).await.expect(2);
    assert!(
        output.err.contains("broken.yaml: ") && output.err.contains("order.yaml is read with"),
        "{}",
        output.err
    );
    terminal.ok(&format!("snorri graph {}", file.display())).await;
    for option in ["--input-file nowhere.json", "--outputs nowhere.json"] {
        let output = terminal.run(&format!("snorri simulate {SAGAS}/order.yaml {option}")).await.expect(2);
        assert!(output.err.contains("cannot read nowhere.json"), "{}", output.err);
    }
}

#[tokio::test]
async fn a_simulation_is_the_same_every_time() {
    let terminal = Terminal::alone();
    let line = format!("snorri simulate {SAGAS}/order.yaml --runs 500 --failure charge=10% --seed 7");
    let first = terminal.ok(&line).await;
    assert!(
        first.contains("compensated, charge: refused") && first.contains("the input is generated"),
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
    for (options, expected) in [
        (
            "--failure chrage=2%",
            "there is no step `chrage`: did you mean `charge`? There are: reserve, charge, ship",
        ),
        ("--failure charge=two", "not a share between 0% and 100%"),
        ("--latency charge=fast", "not a duration"),
        ("--signal approved=1h", "there is no awaited signal or event `approved`; there are: none"),
        ("--compare 'sabotage charge=1%'", "is not like `failure charge=2%`"),
        ("--input '{}'", "a saga cannot start with the input {}"),
        ("--input '{}'", "input {}: \"orderId\" is a required property"),
        ("--input '{bad'", "the input is not valid: it is not JSON"),
        ("--compare ''", "--compare '': there are no faults in it"),
        ("--compensation-failure charge=2% --failure nothing=1%", "there is no step `nothing`"),
        ("--runs 0", "a number from 1 to 1,000,000"),
    ] {
        let output = terminal.run(&format!("{order} {options}")).await.expect(2);
        assert!(output.err.contains(expected), "{options}: {}", output.err);
    }
    let output = terminal.run("snorri simulate nothing").await;
    assert!(output.code != 0 && output.err.contains("nothing"), "{}", output.err);
}

/// Writes a parent and its child saga into one directory. `input` is the input of the child.
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
async fn a_file_is_checked_against_others_in_its_folder() {
    let terminal = Terminal::alone();
    let [parent, child] = family(&terminal, "{ room: 7 }");
    terminal.write("unfinished.yaml", "saga: unfinished\n");
    std::fs::write(terminal.path("unreadable.yaml"), [0xff, 0xfe, 0xff]).expect("a file");
    let output = terminal.ok(&format!("snorri check {}", parent.display())).await;
    assert!(output.contains("1 definition: nothing wrong") && !output.contains("cleaning@1"), "{output}");
    let output = terminal
        .ok(&format!("cd {} && snorri check departure.yaml", parent.parent().expect("a directory").display()))
        .await;
    assert!(output.contains("nothing wrong"), "{output}");
    std::fs::remove_file(child).expect("removed");
    let output = terminal.ok(&format!("snorri check {}", parent.display())).await;
    assert!(output.contains("E0342") && output.contains("1 warning"), "{output}");
}

#[tokio::test]
async fn what_check_refuses_is_neither_drawn_nor_simulated_nor_tested() {
    let terminal = Terminal::alone();
    let [refused_with_child, _] = family(&terminal, "{ floor: 2 }");
    let refused_alone = terminal.write(
        "alone/stay.yaml",
        "saga: stay\nversion: 1\ndefaults: { exchange: hotel.commands }\nsteps:\n  \
         - { name: look, command: room.look, optional: true, compensate: none }\n  \
         - { name: book, command: room.book, compensate: { command: room.free, payload: { no: \"${ look.output.no }\" } } }\n",
    );
    for (file, code) in [(refused_with_child, "E0343"), (refused_alone, "E0416")] {
        let scenarios = file.with_extension("test.yaml");
        std::fs::write(&scenarios, "scenarios:\n  - name: all is well\n    expect: { status: completed }\n")
            .expect("written");
        let file = file.display();
        let output = terminal.run(&format!("snorri check {file}")).await.expect(1);
        assert!(output.out.contains(code), "{}", output.out);
        for command in ["graph", "simulate --runs 10"] {
            let output = terminal.run(&format!("snorri {command} {file}")).await.expect(1);
            assert!(
                output.err.contains(code) && output.err.contains("is not a valid definition"),
                "{}",
                output.err
            );
            assert!(output.out.is_empty(), "{}", output.out);
        }
        let output = terminal.run(&format!("snorri test {file}")).await.expect(2);
        assert!(output.out.contains(code) && output.out.contains("did not run"), "{}", output.out);
    }
}
