//! Starting, finding, watching and deleting sagas over HTTP.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::process::Server;
use crate::steering::{saga, server, until};

#[tokio::test]
async fn a_thousand_identical_starts_make_one_saga() {
    let server = Server::start("").await;
    let body = json!({"definition": "order", "input": {"orderId": "o-1"}});
    let answers = join_all((0..1_000).map(|_| server.post("/v1/sagas", &body))).await;
    let created = answers.iter().filter(|(status, _)| *status == 201).count();
    let known = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!((created, known), (1, 999));
    assert!(answers.iter().all(|(_, answer)| answer["id"] == answers[0].1["id"]));
    let (_, counts) = server.get("/v1/sagas/counts").await;
    assert_eq!(
        counts["counts"],
        json!([{"definition": "order", "version": 1, "status": "running", "count": 1}])
    );
}

const KEYLESS: &str = "saga: keyless
version: 1
steps:
  - { name: approval, wait: { signal: approved }, timeout: 1h }
";

#[tokio::test]
async fn an_idempotency_key_marks_a_repetition_without_a_business_key() {
    let server = Server::start("").await;
    assert_eq!(server.post("/v1/definitions", &json!({"source": KEYLESS})).await.0, 201);
    let start = |key: &str, input: Value| {
        let body = json!({"definition": "keyless", "input": input});
        let request = server.request("post", "/v1/sagas").header("idempotency-key", key).json(&body);
        server.ask(request)
    };
    let (status, first) = start("a", json!(1)).await;
    assert_eq!(status, 201, "{first}");
    let (status, again) = start("a", json!(1)).await;
    assert_eq!((status, &again["id"]), (200, &first["id"]), "{again}");
    let (status, other) = start("a", json!(2)).await;
    assert_eq!((status, &other["code"]), (409, &json!("key_in_use")), "{other}");
    assert_eq!(start("b", json!(2)).await.0, 201);
    assert_eq!(start("", json!(2)).await.0, 400);
}

#[tokio::test]
async fn sagas_are_found_by_each_of_their_fields() {
    let server = server().await;
    let waiting = saga(&server, "o-1", "waiting").await;
    let stuck = saga(&server, "o-2", "stuck").await;
    let paused = saga(&server, "o-3", "stuck and paused").await;
    let gone = saga(&server, "o-4", "abandoned").await;
    let cases: [(&str, &[&String]); 12] = [
        ("", &[&gone, &paused, &stuck, &waiting]),
        ("definition=stuck&version=1", &[&gone, &paused, &stuck, &waiting]),
        ("definition=order", &[]),
        ("status=stuck", &[&paused, &stuck]),
        ("status=stuck&paused=false", &[&stuck]),
        ("paused=true", &[&paused]),
        ("key=o-1&definition=stuck", &[&waiting]),
        ("step=send", &[&paused, &stuck]),
        ("step=ask", &[&waiting]),
        ("incident=unroutable", &[&paused, &stuck]),
        ("attribute=region%3Dnorth&status=abandoned", &[&gone]),
        ("started_until=2020-01-01T00:00:00Z", &[]),
    ];
    for (query, expected) in cases {
        let (status, page) = server.get(&format!("/v1/sagas?{query}")).await;
        assert_eq!(status, 200, "{query}: {page}");
        let found: Vec<_> = page["sagas"].as_array().expect("sagas").iter().map(|saga| &saga["id"]).collect();
        assert_eq!(
            found,
            expected.iter().map(|id| json!(id)).collect::<Vec<_>>().iter().collect::<Vec<_>>(),
            "{query}"
        );
    }
    for query in ["version=1", "attribute=region", "started_from=now", "after=here", "status=lost"] {
        assert_eq!(server.get(&format!("/v1/sagas?{query}")).await.0, 400, "{query}");
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let (_, page) = server.get(&format!("/v1/sagas?limit=1{after}")).await;
        seen.extend(page["sagas"].as_array().expect("sagas").iter().map(|saga| saga["id"].clone()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [json!(gone), json!(paused), json!(stuck), json!(waiting)]);
}

#[tokio::test]
async fn many_are_started_line_by_line_and_one_is_waited_for_and_watched() {
    let server = server().await;
    let line = |id: &str| json!({"definition": "stuck", "input": {"id": id, "region": "south"}}).to_string();
    let body = [line("o-1"), "{".to_owned(), String::new(), line("o-1"), line("o-2")].join("\n");
    let request = server.request("post", "/v1/sagas/bulk-start").body(body);
    let answer = request.header("content-type", "application/x-ndjson").send().await.expect("an answer");
    let text = answer.text().await.expect("a body");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let numbers: Vec<_> = lines.iter().map(|line| line["line"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(4), Some(5)], "{text}");
    assert_eq!(lines[1]["problem"]["code"], "invalid_body", "{text}");
    assert_eq!(
        (&lines[0]["started"]["created"], &lines[2]["started"]["created"]),
        (&json!(true), &json!(false))
    );

    let id = lines[3]["started"]["id"].as_str().expect("an id");
    let (_, saga) = server.get(&format!("/v1/sagas/{id}/wait?timeout=0")).await;
    assert_eq!((&saga["ended"], &saga["status"]), (&json!(false), &json!("running")), "{saga}");
    let stream = server.request("get", &format!("/v1/sagas/{id}/events")).send().await.expect("an answer");
    let wait_path = format!("/v1/sagas/{id}/wait");
    let cancel_path = format!("/v1/sagas/{id}/cancel");
    let cancel = json!({"reason": "a test"});
    let (waited, cancelled) = tokio::join!(server.get(&wait_path), server.post(&cancel_path, &cancel));
    assert_eq!(cancelled.0, 200);
    assert_eq!(waited.1["status"], "compensated", "{}", waited.1);
    let chunks: Vec<_> = stream.bytes_stream().collect().await;
    let bytes: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.expect("bytes").to_vec()).collect();
    let events = String::from_utf8(bytes).expect("text");
    let ids: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    let seq = waited.1["seq"].as_u64().expect("a number");
    assert_eq!(ids, (1..=seq).map(|seq| seq.to_string()).collect::<Vec<_>>(), "{events}");
}

#[tokio::test]
async fn a_stream_of_all_sagas_begins_with_the_next_event() {
    let server = server().await;
    saga(&server, "o-0", "waiting").await;
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    let stream = server.request("get", "/v1/sagas/events").send().await.expect("an answer");
    // The feed looks back a little: earlier entries must not appear here.
    let id = saga(&server, "o-1", "stuck").await;
    let (_, last) = server.get(&format!("/v1/sagas/{id}")).await;
    let mut chunks = stream.bytes_stream();
    let mut events = String::new();
    let end = format!("\"saga\":\"{id}\",\"seq\":{}", last["seq"]);
    while !events.contains(&end) {
        let chunk = tokio::time::timeout(std::time::Duration::from_secs(10), chunks.next()).await;
        let bytes = chunk.expect("in time").expect("an event").expect("bytes");
        events.push_str(&String::from_utf8_lossy(&bytes));
    }
    let changes: Vec<Value> =
        events.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    let seqs: Vec<_> = changes.iter().map(|change| change["seq"].as_u64().expect("a number")).collect();
    assert!(changes.iter().all(|change| change["saga"] == *id), "{events}");
    assert_eq!(
        seqs,
        (1..=last["seq"].as_u64().expect("a number")).collect::<Vec<_>>(),
        "each once, in order"
    );
}

#[tokio::test]
async fn definitions_are_registered_compared_and_retired() {
    let server = server().await;
    let (_, stuck) = server.get("/v1/definitions/stuck").await;
    assert_eq!((&stuck["latest"], &stuck["versions"][0]["active"]), (&json!(1), &json!(true)), "{stuck}");
    let (_, schema) = server.get("/v1/definitions/order/versions/1/input-schema").await;
    assert_eq!(schema["required"], json!(["orderId"]), "{schema}");
    let source =
        server.request("get", "/v1/definitions/stuck/versions/1/source").send().await.expect("an answer");
    let source = source.text().await.expect("text");
    assert_eq!(server.post("/v1/definitions", &json!({"source": source})).await.0, 200, "the same");
    let other = source.replace("mail.send", "x.y");
    let (status, problem) = server.post("/v1/definitions", &json!({"source": other})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("definition_changed")), "{problem}");
    let broken = source.replace("wait:", "wiat:");
    let (status, problem) =
        server.post("/v1/definitions", &json!({"source": broken, "check_only": true})).await;
    assert_eq!((status, &problem["code"]), (422, &json!("invalid_definition")), "{problem}");
    assert!(problem["diagnostics"]["diagnostics"][0]["line"].is_u64(), "{problem}");

    let second = other.replace("version: 1", "version: 2");
    assert_eq!(server.post("/v1/definitions", &json!({"source": second})).await.0, 201);
    let (_, diff) = server.get("/v1/definitions/stuck/diff?from=1&to=2").await;
    assert_eq!(diff["breaking"], true, "{diff}");
    let reason = json!({"reason": "a test"});
    for version in [2, 1] {
        let path = format!("/v1/definitions/stuck/versions/{version}/deactivate");
        let (status, retired) = server.post(&path, &reason).await;
        assert_eq!((status, &retired["active"]), (200, &json!(false)), "{retired}");
    }
    let start = json!({"definition": "stuck", "input": {"id": "o-1", "region": "north"}});
    let (status, problem) = server.post("/v1/sagas", &start).await;
    assert_eq!((status, &problem["code"]), (409, &json!("definition_inactive")), "{problem}");
    assert_eq!(server.post("/v1/definitions/stuck/versions/1/activate", &reason).await.0, 200);
    let id = saga(&server, "o-1", "waiting").await;
    assert_eq!(until(&server, &id, "running").await["version"], 1, "the latest that is active");
    let (_, audit) = server.get("/v1/audit?action=deactivate_definition").await;
    assert_eq!(audit["entries"].as_array().map(Vec::len), Some(2), "{audit}");
}

#[tokio::test]
async fn what_has_ended_is_archived_and_deleted_in_time() {
    let archive = tempfile::tempdir().expect("a directory");
    let settings = format!(
        "[engine.retention]\nretention_period = \"never\"\ninterval = \"100ms\"\narchive = \"{}\"\n\
         definitions = {{ order = \"1s\" }}\n",
        archive.path().display()
    );
    let server = Server::start(&settings).await;
    let mut ids = Vec::new();
    for order in ["o-1", "o-2"] {
        let body = json!({"definition": "order", "input": {"orderId": order}});
        let (_, started) = server.post("/v1/sagas", &body).await;
        ids.push(started["id"].as_str().expect("an id").to_owned());
    }
    let cancelled = server.post(&format!("/v1/sagas/{}/cancel", ids[0]), &json!({"reason": "a test"})).await;
    assert_eq!(cancelled.0, 200);
    for _ in 0..500 {
        if server.get(&format!("/v1/sagas/{}", ids[0])).await.0 == 404 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(server.get(&format!("/v1/sagas/{}", ids[0])).await.0, 404);
    assert_eq!(server.get(&format!("/v1/sagas/{}", ids[1])).await.0, 200, "it has not ended");
    let directory = std::fs::read_dir(archive.path().join("order")).expect("a directory");
    let files: Vec<_> = directory.map(|file| file.expect("a file").path()).collect();
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(
        (mode(&files[0]), mode(&archive.path().join("order"))),
        (0o600, 0o700),
        "only the owner can read it"
    );
    let text = std::fs::read_to_string(&files[0]).expect("text");
    let line: Value = serde_json::from_str(text.trim()).expect("one line of JSON");
    assert_eq!(line["saga"], json!(ids[0]), "{line}");
    assert!(line["journal"].as_array().is_some_and(|journal| journal.len() > 1), "{line}");
    let (_, audit) = server.get(&format!("/v1/audit?saga={}", ids[0])).await;
    assert_eq!(audit["entries"][0]["action"], "cancel", "the audit stays");
}
