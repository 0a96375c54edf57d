//! Interventions over HTTP: a preview equals the result, everything is audited, and `If-Match` rejects outdated requests.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::process::Server;

/// A saga that waits for a signal, and is then stuck, because its command has no queue.
const STUCK: &str = "saga: stuck
version: 1
key: ${ input.id }
attributes: { region: \"${ input.region }\" }
steps:
  - { name: ask, wait: { signal: go }, timeout: 1h }
  - name: send
    command: mail.send
    exchange: void
    unroutable_timeout: 100ms
    retry: { attempts: 1 }
    compensate: none
output: { sent: \"${ send.output }\" }
";

pub async fn server() -> Server {
    let server = Server::start("").await;
    let (status, answer) = server.post("/v1/definitions", &json!({"source": STUCK})).await;
    assert_eq!(status, 201, "{answer}");
    server
}

/// Starts a saga and drives it into a state.
pub async fn saga(server: &Server, key: &str, state: &str) -> String {
    let body = json!({"definition": "stuck", "input": {"id": key, "region": "north"}});
    let (status, started) = server.post("/v1/sagas", &body).await;
    assert_eq!(status, 201, "{started}");
    let id = started["id"].as_str().expect("an id").to_owned();
    let by = json!({"reason": "a test"});
    let steps: &[(&str, Value)] = match state {
        "waiting" => &[],
        "paused" => &[("pause", by)],
        "stuck" => &[("signals/go", json!({}))],
        "stuck and paused" => &[("signals/go", json!({})), ("pause", by)],
        "completed" => &[("signals/go", json!({})), ("resolve", resolution("succeeded"))],
        "compensated" => &[("cancel", by)],
        "abandoned" => &[("signals/go", json!({})), ("abandon", by)],
        other => panic!("{other}"),
    };
    for (action, body) in steps {
        if *action != "signals/go" && state != "paused" && state != "compensated" {
            until(server, &id, "stuck").await;
        }
        let (status, answer) = server.post(&format!("/v1/sagas/{id}/{action}"), body).await;
        assert!((200..300).contains(&status), "{action}: {answer}");
    }
    if state.starts_with("stuck") {
        until(server, &id, "stuck").await;
    }
    id
}

pub async fn until(server: &Server, id: &str, status: &str) -> Value {
    for _ in 0..500 {
        let (_, saga) = server.get(&format!("/v1/sagas/{id}")).await;
        if saga["status"] == status {
            return saga;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{id} does not become {status}");
}

fn resolution(outcome: &str) -> Value {
    json!({"step": "send", "outcome": outcome, "output": {"by": "hand"}, "reason": "a test"})
}

/// Removes the fields that differ between a preview and its result: times, and `preview`.
fn timeless(mut answer: Value) -> Value {
    fn clear(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| {
                    !name.ends_with("_at")
                        && !["preview", "at", "since", "waits_for"].contains(&name.as_str())
                });
                fields.values_mut().for_each(clear);
            }
            Value::Array(items) => items.iter_mut().for_each(clear),
            _ => {}
        }
    }
    clear(&mut answer);
    answer
}

#[tokio::test]
async fn a_preview_is_what_then_happens_for_every_intervention_in_every_state() {
    let server = server().await;
    let states = ["waiting", "paused", "stuck", "stuck and paused", "completed", "compensated", "abandoned"];
    let reason = || json!({"reason": "a test"});
    let actions = [
        ("cancel", reason()),
        ("pause", reason()),
        ("resume", reason()),
        ("retry", reason()),
        ("resolve", resolution("succeeded")),
        ("resolve", resolution("failed")),
        ("skip", json!({"step": "send", "reason": "a test"})),
        ("rollback", reason()),
        ("abandon", reason()),
    ];
    let mut accepted = 0;
    for (row, state) in states.into_iter().enumerate() {
        for (column, (action, body)) in actions.iter().enumerate() {
            let id = saga(&server, &format!("{row}-{column}"), state).await;
            let path = format!("/v1/sagas/{id}/{action}");
            let (_, before) = server.get(&format!("/v1/sagas/{id}")).await;
            let (preview_status, preview) = server.post(&format!("{path}?preview=true"), body).await;
            let (_, between) = server.get(&format!("/v1/sagas/{id}")).await;
            assert_eq!(before, between, "a preview of {action} changes nothing when {state}");
            let (status, made) = server.post(&path, body).await;
            assert_eq!(preview_status, status, "{action} when {state}: {preview} and {made}");
            assert_eq!(timeless(preview), timeless(made.clone()), "{action} when {state}");
            if status == 200 {
                accepted += 1;
                let (_, audit) = server.get(&format!("/v1/audit?saga={id}&limit=1")).await;
                let entry = &audit["entries"][0];
                assert_eq!(entry["action"], action.replace('-', "_"), "{audit}");
                assert_eq!(entry["seq"], made["seq"], "{audit}");
                assert_eq!((&entry["actor"], &entry["reason"]), (&json!("anonymous"), &json!("a test")));
                assert_eq!(entry["before"]["status"], before["status"], "{audit}");
                assert_eq!(entry["after"]["status"], made["status"], "{audit}");
            } else {
                assert_eq!(status, 409, "{action} when {state}: {made}");
            }
        }
    }
    // waiting: cancel, pause; paused: cancel, resume; stuck: all except resume; stuck and paused: cancel, resume, abandon.
    assert_eq!(accepted, 2 + 2 + 8 + 3, "the number in the table");
}

fn if_match(request: RequestBuilder, etag: &str) -> RequestBuilder {
    request.header("if-match", etag).json(&json!({"reason": "a test"}))
}

#[tokio::test]
async fn nothing_is_done_on_an_old_look() {
    let server = server().await;
    let id = saga(&server, "o-1", "waiting").await;
    let path = format!("/v1/sagas/{id}");
    let look = server.request("get", &path).send().await.expect("an answer");
    let etag = look.headers()["etag"].to_str().expect("text").to_owned();
    let pause = || server.request("post", &format!("{path}/pause"));
    let (status, _) = server.ask(if_match(pause(), &etag)).await;
    assert_eq!(status, 200);
    let resume = || server.request("post", &format!("{path}/resume"));
    let (status, problem) = server.ask(if_match(resume(), &etag)).await;
    assert_eq!((status, &problem["code"]), (412, &json!("changed")), "{problem}");
    let (status, problem) = server.ask(if_match(resume(), "x")).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_header")), "{problem}");
    assert_eq!(server.ask(if_match(resume(), "*")).await.0, 200);
}

#[tokio::test]
async fn a_new_saga_continues_from_a_step_of_one_that_has_ended() {
    let server = server().await;
    let id = saga(&server, "o-1", "abandoned").await;
    let restart = |from: &str| json!({"from": from, "reason": "a test"});
    let path = format!("/v1/sagas/{id}/restart");
    let (status, started) = server.post(&path, &restart("send")).await;
    assert_eq!(status, 201, "{started}");
    let again = server.post(&path, &restart("send")).await;
    assert_eq!((again.0, &again.1["id"]), (200, &started["id"]), "the same request returns the same saga");
    let new = started["id"].as_str().expect("an id");
    let saga = until(&server, new, "stuck").await;
    assert_eq!(
        (&saga["restarted_from"], &saga["steps"][0]["status"]),
        (&json!(id), &json!("completed")),
        "{saga}"
    );
    let (status, problem) = server.post(&path, &restart("nowhere")).await;
    assert_eq!((status, &problem["code"]), (409, &json!("no_such_step")), "{problem}");
}

#[tokio::test]
async fn a_restart_does_no_completed_step_again_unless_asked() {
    let server = server().await;
    let source =
        "saga: notify\nversion: 1\nsteps:\n  - name: hello\n    publish: order.begun\n    exchange: news\n";
    assert_eq!(server.post("/v1/definitions", &json!({"source": source})).await.0, 201);
    let (_, started) = server.post("/v1/sagas", &json!({"definition": "notify", "input": {}})).await;
    let id = started["id"].as_str().expect("an id");
    until(&server, id, "completed").await;
    let path = format!("/v1/sagas/{id}/restart");
    let body = json!({"from": "hello", "reason": "a test"});
    for path in [path.clone(), format!("{path}?preview=true")] {
        let (status, problem) = server.post(&path, &body).await;
        assert_eq!((status, &problem["code"]), (409, &json!("would_repeat_completed")), "{problem}");
    }
    let body = json!({"from": "hello", "reason": "a test", "repeat_completed": true});
    let (status, started) = server.post(&path, &body).await;
    assert_eq!((status, &started["repeats"]), (201, &json!(["hello"])), "{started}");
}

#[tokio::test]
async fn sagas_continue_with_a_new_version_if_they_can() {
    let server = server().await;
    let waiting = saga(&server, "o-1", "waiting").await;
    let stuck = saga(&server, "o-2", "stuck").await;
    let second = STUCK.replace("version: 1", "version: 2").replace("mail.send", "mail.post");
    assert_eq!(server.post("/v1/definitions", &json!({"source": second})).await.0, 201);

    let body = json!({"version": 2, "reason": "a test"});
    let (status, preview) = server.post(&format!("/v1/sagas/{stuck}/migrate?preview=true"), &body).await;
    assert_eq!((status, &preview["safe"]), (200, &json!(false)), "{preview}");
    assert_eq!(preview["blocked"][0]["step"], "send", "{preview}");
    let (status, problem) = server.post(&format!("/v1/sagas/{stuck}/migrate"), &body).await;
    assert_eq!((status, &problem["code"]), (409, &json!("migration_blocked")), "{problem}");

    let bulk =
        json!({"action": "migrate", "version": 2, "query": {"definition": "stuck"}, "reason": "a test"});
    let dry = lines(&server, &bulk).await;
    let found = json!({"matching": 2, "affected": 1, "dry_run": true});
    assert_eq!(dry[0]["summary"], found, "{dry:?}");
    let mut confirmed = bulk.clone();
    confirmed["confirm"] = json!(1);
    let done = lines(&server, &confirmed).await;
    assert_eq!(done.last().expect("lines")["complete"], json!({"accepted": 1, "refused": 0}), "{done:?}");
    let (_, saga) = server.get(&format!("/v1/sagas/{waiting}")).await;
    assert_eq!(saga["version"], 2, "{saga}");
    let (_, audit) = server.get("/v1/audit?action=migrate").await;
    assert_eq!(audit["entries"][0]["before"]["version"], 1, "{audit}");
    assert_eq!(audit["entries"][0]["after"]["version"], 2, "{audit}");
    assert_eq!(server.post(&format!("/v1/sagas/{waiting}/signals/go"), &json!({})).await.0, 202);
    let saga = until(&server, &waiting, "stuck").await;
    let message = saga["incidents"][0]["message"].as_str().expect("a message");
    assert!(message.contains("mail.post"), "it runs the new version: {message}");
}

/// The lines of the response to a bulk request.
pub async fn lines(server: &Server, body: &Value) -> Vec<Value> {
    let answer = server.request("post", "/v1/bulk").json(body).send().await.expect("an answer");
    let (status, text) = (answer.status(), answer.text().await.expect("a body"));
    assert_eq!(status.as_u16(), 200, "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn the_same_is_done_to_many_only_as_it_was_confirmed() {
    let server = server().await;
    for key in ["o-1", "o-2", "o-3"] {
        saga(&server, key, "waiting").await;
    }
    let bulk = json!({"action": "cancel", "query": {"attribute": "region=north"}, "reason": "a test"});
    let dry = lines(&server, &bulk).await;
    assert_eq!(dry[0]["summary"]["affected"], 3, "{dry:?}");
    saga(&server, "o-4", "waiting").await;
    let mut confirmed = bulk.clone();
    confirmed["confirm"] = json!(3);
    let (status, problem) = server.post("/v1/bulk", &confirmed).await;
    assert_eq!((status, &problem["code"]), (409, &json!("confirmed_other")), "{problem}");
    assert_eq!(statuses(&server).await, ["running"; 4], "nothing was done");
    confirmed["confirm"] = json!(4);
    assert_eq!(lines(&server, &confirmed).await.len(), 1 + 4 + 1);
    assert_eq!(statuses(&server).await, ["compensated"; 4]);
}

async fn statuses(server: &Server) -> Vec<String> {
    let (_, page) = server.get("/v1/sagas").await;
    let sagas = page["sagas"].as_array().expect("sagas");
    sagas.iter().map(|saga| saga["status"].as_str().expect("a status").to_owned()).collect()
}
