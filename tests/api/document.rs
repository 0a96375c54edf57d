//! The OpenAPI document, the reference page, and the codes of problems.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::process::Server;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of ours")
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let generated = snorri::http::document().expect("a document");
    assert!(
        read("docs/openapi.json").trim_end() == generated,
        "docs/openapi.json is outdated: snorri schema --openapi > docs/openapi.json"
    );
}

#[test]
fn every_operation_is_described() {
    let document: Value = serde_json::from_str(&snorri::http::document().expect("a document")).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let tags: BTreeSet<_> = names(&document["tags"]);
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let place = format!("{method} {path}");
            let text = |field: &str| operation[field].as_str().unwrap_or_default().to_owned();
            assert!(ids.insert(text("operationId")), "{place}: its id is not unique");
            assert!(!text("summary").is_empty(), "{place} has no summary");
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            assert!(tags.contains(tag), "{place} has the tag `{tag}`, which has no description");
            let is_open = text("x-role") == "open";
            assert_eq!(operation["security"].as_array().map(Vec::is_empty), Some(is_open), "{place}");
            for (status, answer) in operation["responses"].as_object().expect("answers") {
                assert!(
                    answer["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{place}: {status}"
                );
            }
        }
    }
    // All references resolve.
    let text = document.to_string();
    for name in
        text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().expect("a name"))
    {
        assert!(document["components"]["schemas"].get(name).is_some(), "there is no schema `{name}`");
    }
}

fn names(list: &Value) -> BTreeSet<&str> {
    list.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect()
}

#[tokio::test]
async fn the_reference_page_needs_nothing_from_elsewhere() {
    let server = Server::start("").await;
    let answer = server.request("get", "/docs").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let policy = answer.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.contains("default-src 'self'"), "{policy}");
    assert!(answer.url().path().ends_with("/docs/"), "{}", answer.url());
    let page = answer.text().await.expect("a page");
    let links = page.split(['"', '\'']).filter(|text| text.ends_with(".js") || text.ends_with(".css"));
    let links: Vec<_> = links.collect();
    assert!(links.len() >= 3, "{page}");
    for link in links {
        assert!(!link.contains("//"), "{link} is elsewhere");
        let path = format!("/docs/{}", link.trim_start_matches("./"));
        let answer = server.request("get", &path).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
        assert!(kind.contains("javascript") || kind.contains("css"), "{path}: {kind}");
    }
    let start = server.request("get", "/docs/swagger-initializer.js").send().await.expect("an answer");
    assert!(start.text().await.expect("a script").contains("/v1/openapi.json"));
    assert_eq!(server.get("/v1/openapi.json").await.1["openapi"], "3.1.0");
}

/// The table of codes in `docs/api.md`: code, status, meaning.
fn documented() -> BTreeMap<String, String> {
    let text = read("docs/api.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let mut table = BTreeMap::new();
    for cells in cells.filter(|cells| cells.len() == 5 && cells[2].parse::<u16>().is_ok()) {
        let code = cells[1].trim_matches('`').to_owned();
        assert!(!cells[3].is_empty(), "{code} has no meaning");
        assert!(table.insert(code.clone(), cells[2].to_owned()).is_none(), "{code} is there twice");
    }
    assert!(table.len() > 20, "{table:?}");
    table
}

/// The codes in the source.
fn made() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for text in sources("src/http") {
        // ErrorResponse::new(status, "code", ...) and Self::new(status, "code", ...), on one or several lines.
        for call in text.split("::new(").skip(1) {
            let Some((status, rest)) = call.split_once(',') else { continue };
            let is_status = status.contains("StatusCode::") || status.trim() == "status";
            if let Some(rest) = rest.trim_start().strip_prefix('"').filter(|_| is_status) {
                codes.insert(rest.split('"').next().expect("a code").to_owned());
            }
        }
    }
    // The codes of the errors of the engine and the core.
    for text in ["crates/engine/src", "crates/core/src"].into_iter().flat_map(sources) {
        for function in text.split("pub fn code(&self) -> &'static str {").skip(1) {
            let body = function.split("\n    }\n").next().expect("a function");
            let arms =
                body.split("=> \"").skip(1).map(|rest| rest.split('"').next().expect("a code").to_owned());
            codes.extend(arms);
        }
    }
    codes
}

fn sources(part: &str) -> Vec<String> {
    let (mut texts, mut directories) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(part)]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => directories.push(path),
                false => texts.push(fs::read_to_string(&path).expect("a source file")),
            }
        }
    }
    texts
}

/// Internal codes of the core, which the API does not return.
const INTERNAL: [&str; 8] = [
    "already_started",
    "unknown_saga",
    "unexpected",
    "not_due",
    "not_a_child",
    "already_compensated",
    "invalid_json",
    "too_many_outcome_requests",
];

#[test]
fn every_code_is_documented() {
    let (documented, mut made) = (documented(), made());
    for internal in INTERNAL {
        assert!(made.remove(internal), "{internal} is not a code");
    }
    let documented: BTreeSet<_> = documented.into_keys().collect();
    let missing: Vec<_> = made.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/api.md lacks {missing:?}");
    let gone: Vec<_> = documented.difference(&made).collect();
    assert!(gone.is_empty(), "docs/api.md lists {gone:?}, which do not exist");
}
