//! Findings as SARIF 2.1.0 (OASIS), which code review tools show beside the lines that they are about.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::catalog::Diagnostics;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// One log of one run, with a result for each finding.
pub fn log(all: &[&Diagnostics]) -> Value {
    let mut codes = BTreeSet::new();
    let mut results = Vec::new();
    for findings in all {
        codes.extend(findings.list.iter().map(|finding| finding.code));
        // As lines and columns, which only the findings themselves can tell.
        let told = serde_json::to_value(findings).unwrap_or_default();
        let list = told["diagnostics"].as_array().cloned().unwrap_or_default();
        results.extend(list.iter().map(|finding| result(&findings.file, finding)));
    }
    let rules: Vec<_> = codes.iter().map(|code| json!({ "id": code })).collect();
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

fn result(file: &str, finding: &Value) -> Value {
    let story = finding["story"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let text: Vec<_> =
        [&finding["message"], &finding["help"]].into_iter().filter_map(Value::as_str).chain(story).collect();
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
            "physicalLocation": { "artifactLocation": { "uri": file.replace('\\', "/") }, "region": region },
        }],
    })
}
