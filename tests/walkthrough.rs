//! The walk-through is correct: every line of it is run, and the output is compared with the document.

#[path = "cli/terminal.rs"]
mod terminal;

use terminal::Terminal;
use uuid::Uuid;

const DOCUMENT: &str = include_str!("../docs/walkthrough.md");

/// A line to type, and its expected output.
struct Typed<'a> {
    line: &'a str,
    output: Vec<&'a str>,
}

#[tokio::test]
async fn a_first_time_user_repairs_a_stuck_saga() {
    let terminal = Terminal::with_demo().await;
    let typed = typed(DOCUMENT);
    assert!(typed.len() >= 10, "the document has lines to type");
    for Typed { line, output } in typed {
        let run = terminal.run(line).await;
        assert!(run.err.is_empty(), "{line}: {}", run.err);
        let (actual, expected) = (normal(&run.out), normal(&output.join("\n")));
        assert_eq!(
            actual,
            expected,
            "\n$ {line}\nprints\n{}\ninstead of\n{}",
            actual.join("\n"),
            expected.join("\n")
        );
    }
}

fn typed(document: &str) -> Vec<Typed<'_>> {
    let blocks = document.split("```console\n").skip(1).filter_map(|block| block.split("```").next());
    let mut typed: Vec<Typed<'_>> = Vec::new();
    for text in blocks.flat_map(str::lines) {
        match (text.strip_prefix("$ "), typed.last_mut()) {
            (Some(line), _) => typed.push(Typed { line, output: Vec::new() }),
            (None, Some(last)) => last.output.push(text),
            (None, None) => panic!("a block begins with a line to type: {text}"),
        }
    }
    typed
}

/// Removes the parts that differ from run to run: ids, times, separate numbers, and the space between words.
fn normal(text: &str) -> Vec<String> {
    let line = |line: &str| line.split_whitespace().filter_map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).filter(|line| !line.is_empty()).collect()
}

fn word(word: &str) -> Option<&str> {
    let bare = word.trim_end_matches([',', '.', ';', ':']);
    let is_time = |text: &str| text.chars().all(|c| c.is_ascii_digit() || "-:.+TZms".contains(c));
    match () {
        () if Uuid::parse_str(bare).is_ok() => Some("ID"),
        // `+1m 09s` and `+42 ms` are the same.
        () if is_time(bare) => None,
        () => Some(word),
    }
}
