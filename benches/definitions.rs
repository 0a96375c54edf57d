//! `cargo bench --bench definitions`: how long it takes to compile a definition, and to refuse one that means harm.
//!
//! Each source is compiled in a process of its own, so that its peak of memory is its own. A bomb must be refused within
//! 50 ms and 32 MiB, the process itself included.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::Instant;

const MOST_TIME: Duration = Duration::from_millis(50);
const MOST_KIB: u64 = 32 * 1024;

/// What is compiled, and whether it is to be refused.
const SOURCES: [(&str, bool); 9] = [
    ("the order saga", false),
    ("aliases of aliases", true),
    ("a list of aliases", true),
    ("deep lists", true),
    ("deep mappings", true),
    ("deep expression", true),
    ("too long", true),
    ("many keys", true),
    ("many expressions", true),
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--source") {
        return compile(arguments.get(at + 1).context("a source")?);
    }
    let mut is_within = true;
    println!("{:<22} {:>9} {:>9} {:>9}", "", "ms", "peak MiB", "");
    for (name, is_bomb) in SOURCES {
        let output = Command::new(std::env::current_exe()?).args(["--source", name]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [micros, kib, refused] = numbers[..] else {
            anyhow::bail!("{name}: {text}{}", String::from_utf8_lossy(&output.stderr))
        };
        ensure!((refused == 1) == is_bomb, "{name} was {}refused", if refused == 1 { "" } else { "not " });
        is_within &= !is_bomb || (Duration::from_micros(micros) < MOST_TIME && kib < MOST_KIB);
        let (millis, mib) = (micros / 1_000, kib / 1_024);
        println!(
            "{name:<22} {millis:>5}.{:03} {mib:>9} {:>9}",
            micros % 1_000,
            if is_bomb { "refused" } else { "" }
        );
    }
    ensure!(is_within, "a bomb is refused within {MOST_TIME:?} and {} MiB", MOST_KIB / 1_024);
    Ok(())
}

/// Prints microseconds, peak KiB and whether it was refused.
fn compile(name: &str) -> anyhow::Result<()> {
    let source = source(name)?;
    let began = Instant::now();
    let refused = snorri::catalog::compile("source.yaml", &source).is_err();
    let micros = began.elapsed().as_micros();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let kib = peak.trim().trim_end_matches("kB").trim();
    println!("{micros} {kib} {}", u8::from(refused));
    Ok(())
}

fn source(name: &str) -> anyhow::Result<String> {
    let head = "saga: bomb\nversion: 1\n";
    Ok(match name {
        "the order saga" => include_str!("../sagas/order.yaml").to_owned(),
        "aliases of aliases" => (1..30).fold(format!("{head}a0: &a0 [x, x, x]\n"), |mut text, n| {
            let _ = writeln!(text, "a{n}: &a{n} [*a{m}, *a{m}, *a{m}]", m = n - 1);
            text
        }),
        "a list of aliases" => {
            format!("{head}a: &a [{}]\nb: [{}]\n", "x, ".repeat(5_000), "*a, ".repeat(5_000))
        }
        "deep lists" => format!("{head}steps: {}{}\n", "[".repeat(100_000), "]".repeat(100_000)),
        "deep mappings" => format!("{head}steps: {}1{}\n", "{a: ".repeat(40_000), "}".repeat(40_000)),
        "deep expression" => {
            let expression = format!("{}1{}", "(".repeat(1_500), ")".repeat(1_500));
            format!("{head}steps:\n  - {{ name: a, command: x, exchange: x, compensate: none, payload: \"${{ {expression} }}\" }}\n")
        }
        "too long" => format!("{head}description: {}\n", "x".repeat(8 << 20)),
        "many keys" => (0..20_000).fold(head.to_owned(), |mut text, n| {
            let _ = writeln!(text, "k{n}: 1");
            text
        }),
        "many expressions" => (0..8_000).fold(
            format!("{head}steps:\n  - name: a\n    command: x\n    exchange: x\n    compensate: none\n    payload:\n"),
            |mut text, n| {
                let _ = writeln!(text, "      f{n}: ${{ input.a{n} + 1 }}");
                text
            },
        ),
        other => anyhow::bail!("no source is called {other}"),
    })
}
