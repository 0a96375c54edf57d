//! Findings as SARIF 2.1.0 (OASIS), which code review tools show next to the affected lines.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use snorri_definition::Diagnostics;
use snorri_definition::diagnostic::explanation::explain;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// A log of one run, with a result for each finding.
pub fn log(all: &[&Diagnostics]) -> Value {
    let mut codes = BTreeSet::new();
    let mut results = Vec::new();
    for findings in all {
        codes.extend(findings.list.iter().map(|finding| finding.code));
        // Serialization computes lines and columns.
        let document = serde_json::to_value(findings).unwrap_or_default();
        let list = document["diagnostics"].as_array().cloned().unwrap_or_default();
        results.extend(list.iter().map(|finding| result(&findings.file, finding)));
    }
    let rules: Vec<_> = codes.iter().map(|code| rule(code)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "snorri", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A code with its explanation.
fn rule(code: &str) -> Value {
    let Ok(explanation) = explain(code) else { return json!({ "id": code }) };
    json!({
        "id": code,
        "shortDescription": { "text": explanation.title },
        "help": { "text": explanation.text },
    })
}

/// A path as a URI reference, without spaces, `#` and non-ASCII characters.
fn uri(file: &str) -> String {
    const PLAIN: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    let path = file.strip_prefix("./").unwrap_or(file);
    let path = utf8_percent_encode(path, PLAIN).to_string();
    if path.starts_with('/') { format!("file://{path}") } else { path }
}

fn result(file: &str, finding: &Value) -> Value {
    let trace = finding["trace"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let text: Vec<_> =
        [&finding["message"], &finding["help"]].into_iter().filter_map(Value::as_str).chain(trace).collect();
    let region = json!({
        "startLine": finding["line"],
        "startColumn": finding["column"],
        "endLine": finding["end_line"],
        "endColumn": finding["end_column"],
    });
    json!({
        "ruleId": finding["code"],
        "level": finding["severity"],
        "message": { "text": text.join("\n") },
        "locations": [{
            "physicalLocation": { "artifactLocation": { "uri": uri(file) }, "region": region },
        }],
    })
}
