//! The page about metrics lists all of them.

use std::path::Path;

use prometheus_client::encoding::text::encode;

use super::*;

const HEAD: &str = "| metric | type | labels | unit | meaning |\n| --- | --- | --- | --- | --- |\n";

/// The rows of the table, made from the metrics as Prometheus sees them.
fn rows() -> String {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    // A family shows its labels once it has a sample.
    for (family, name) in [
        (&metrics.entries, "cause"),
        (&metrics.rejected, "reason"),
        (&metrics.ended, "status"),
        (&metrics.incidents, "code"),
        (&metrics.buffered_events, "result"),
        (&metrics.dead_letters_deleted, "reason"),
        (&metrics.published, "result"),
        (&metrics.dropped, "reason"),
    ] {
        count(family, name, "");
    }
    metrics.observe_unmatched_event(&EventSource::Event { exchange: "".into(), event: "".into() }, true);
    metrics.observe_unroutable("", "");
    metrics.observe_waiting("", "", 1);
    let mut text = String::new();
    encode(&mut text, &registry).expect("the metrics");
    let mut rows: Vec<_> = text.split("# HELP ").skip(1).map(row).collect();
    rows.sort();
    rows.concat()
}

/// The row of one metric, from the text that begins with its name and ends before the next one.
fn row(text: &str) -> String {
    let (name, rest) = text.split_once(' ').expect("a name");
    let (help, rest) = rest.split_once(".\n").expect("a help text");
    let line = |start: &str| rest.lines().find_map(|line| line.strip_prefix(&format!("# {start} {name} ")));
    let (kind, unit) = (line("TYPE").expect("a type"), line("UNIT").unwrap_or("count"));
    let sample =
        rest.lines().find(|line| !line.starts_with('#')).unwrap_or_else(|| panic!("{name}: no sample"));
    let labels = sample.split_once('{').map(|(_, rest)| rest.split('}').next().unwrap_or_default());
    let labels: Vec<_> = labels.into_iter().flat_map(|labels| labels.split(',')).collect();
    let labels: Vec<_> = labels.iter().filter_map(|label| label.split('=').next()).collect();
    let labels: Vec<_> =
        labels.into_iter().filter(|label| *label != "le").map(|label| format!("`{label}`")).collect();
    let suffix = if kind == "counter" { "_total" } else { "" };
    format!("| `{name}{suffix}` | {kind} | {} | {unit} | {help} |\n", labels.join(", "))
}

#[test]
fn the_page_about_metrics_has_all_of_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, after) = page.split_once(HEAD).expect("a table");
    let length: usize =
        after.lines().take_while(|line| line.starts_with('|')).map(|line| line.len() + 1).sum();
    let rows = rows();
    if after[..length] != rows && std::env::var_os("SNORRI_UPDATE_METRICS").is_some() {
        let page = format!("{before}{HEAD}{rows}{}", &after[length..]);
        return std::fs::write(path, page).expect("written");
    }
    assert_eq!(&after[..length], rows, "docs/metrics.md: run this with SNORRI_UPDATE_METRICS=1");
}
