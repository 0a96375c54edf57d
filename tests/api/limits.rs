//! Limits of bodies and rates, and unknown names: each is rejected with a problem.

use serde_json::{Value, json};

use crate::process::{Server, json as answered};

#[tokio::test]
async fn unknown_keys_and_values_are_refused() {
    let server = Server::start("").await;
    let id = "018f3c9e-1111-7222-8333-444455556666";
    let cases = [
        ("get", "/v1/sagas?stauts=running".to_owned(), None, 400, "invalid_query"),
        ("get", "/v1/sagas?limit=0".to_owned(), None, 400, "invalid_query"),
        ("get", "/v1/sagas?limit=1&limit=2".to_owned(), None, 400, "invalid_query"),
        ("get", "/v1/sagas?after=nonsense".to_owned(), None, 400, "invalid_query"),
        ("get", "/v1/whoami?me".to_owned(), None, 400, "invalid_query"),
        ("get", "/livez?a=b".to_owned(), None, 400, "invalid_query"),
        ("get", format!("/v1/sagas/{id}/journal?limit=9999"), None, 400, "invalid_query"),
        ("get", "/v1/sagas?key=%00".to_owned(), None, 400, "invalid_query"),
        ("post", format!("/v1/sagas/{id}/cancel"), Some(json!({"reason": "a\u{0}b"})), 422, "invalid_body"),
        ("get", "/v1/sagas/nonsense".to_owned(), None, 400, "invalid_path"),
        ("get", format!("/v1/sagas/{id}"), None, 404, "saga_not_found"),
        ("get", "/v1/sgas".to_owned(), None, 404, "route_not_found"),
        ("delete", "/v1/sagas".to_owned(), None, 405, "method_not_allowed"),
        ("post", "/livez".to_owned(), None, 405, "method_not_allowed"),
        (
            "post",
            "/v1/sagas".to_owned(),
            Some(json!({"definition": "order", "inptu": {}})),
            422,
            "invalid_body",
        ),
        ("post", "/v1/sagas".to_owned(), Some(json!({"definition": "ordr"})), 404, "definition_not_found"),
        (
            "post",
            "/v1/sagas".to_owned(),
            Some(json!({"definition": "order", "input": {}})),
            422,
            "invalid_input",
        ),
        ("post", format!("/v1/sagas/{id}/cancel"), Some(json!({"reason": ""})), 422, "invalid_body"),
        (
            "post",
            format!("/v1/sagas/{id}/cancel"),
            Some(json!({"reason": "x".repeat(1001)})),
            422,
            "invalid_body",
        ),
        ("post", format!("/v1/sagas/{id}/cancel"), Some(json!({"reason": "x"})), 404, "saga_not_found"),
    ];
    for (method, path, body, status, code) in cases {
        let request = server.request(method, &path);
        let request = if let Some(body) = &body { request.json(body) } else { request };
        let (answer, problem) = server.ask(request).await;
        assert_eq!((answer, &problem["code"]), (status, &json!(code)), "{method} {path} {body:?}: {problem}");
    }
}

#[tokio::test]
async fn an_invalid_start_is_reported_with_a_pointer() {
    let server = Server::start("").await;
    let (_, problem) =
        server.post("/v1/sagas", &json!({"definition": "order", "input": {"orderId": 7}})).await;
    assert_eq!(problem["errors"][0]["pointer"], "/input/orderId", "{problem}");
    assert_eq!(problem["type"], "urn:snorri:problem:invalid_input", "{problem}");
}

#[tokio::test]
async fn bodies_have_a_type_and_a_size() {
    let server = Server::start("").await;
    let start = |body: String| server.request("post", "/v1/sagas").body(body);
    let json_start = |body: String| start(body).header("content-type", "application/json");
    let large = json!({"definition": "order", "input": {"orderId": "x".repeat(300 * 1024)}}).to_string();
    let cases = [
        (start("{}".to_owned()), 415, "unsupported_media_type"),
        (json_start("{".to_owned()), 400, "invalid_body"),
        (json_start("\u{0}".to_owned()), 400, "invalid_body"),
        (
            json_start(format!("{{\"definition\":\"order\",\"input\":{}", "[".repeat(100_000))),
            400,
            "invalid_body",
        ),
        (json_start("[\"order\", null, {\"orderId\": \"o-1\"}, {}]".to_owned()), 422, "invalid_body"),
        (json_start(large), 413, "body_too_large"),
    ];
    for (request, status, code) in cases {
        let (answer, problem) = server.ask(request).await;
        assert_eq!((answer, &problem["code"]), (status, &json!(code)), "{problem}");
    }
    let endless = reqwest::Body::wrap_stream(futures_util::stream::iter(
        std::iter::repeat_n("x".repeat(64 * 1024), 100).map(Ok::<_, std::io::Error>),
    ));
    let request = server.request("post", "/v1/sagas").header("content-type", "application/json");
    if let Ok(answer) = request.body(endless).send().await {
        assert_eq!(answered(answer).await.0, 413);
    }
}

#[tokio::test]
async fn a_limited_caller_gets_retry_after() {
    let settings = format!("{}[http]\nrequests_per_second = 1\nburst = 5\n", super::access::tokens());
    let server = Server::start(&settings).await;
    let ask = |token: &str| server.request("get", "/v1/whoami").bearer_auth(token).send();
    let mut refused = None;
    for _ in 0..10 {
        let answer = ask("viewer-token").await.expect("an answer");
        if answer.status() == 429 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("ten in a moment are too many");
    let wait: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=2).contains(&wait), "{wait}");
    let (_, problem): (u16, Value) = answered(refused).await;
    assert_eq!(problem["code"], "too_many_requests", "{problem}");
    assert_eq!(ask("operator-token").await.expect("an answer").status(), 200, "others are not affected");
    for _ in 0..20 {
        assert_eq!(server.get("/readyz").await.0, 200, "health is not affected");
    }
    let guessing = async |number: u32| ask(&format!("guess-{number}")).await.expect("an answer").status();
    let mut statuses = Vec::new();
    for number in 0..10 {
        statuses.push(guessing(number).await.as_u16());
    }
    assert!(
        statuses.contains(&401) && statuses.contains(&429),
        "guesses count for the address: {statuses:?}"
    );
}

#[tokio::test]
async fn a_slow_request_times_out() {
    let server = Server::start("[http]\nrequest_timeout = \"200ms\"\n").await;
    let silent = reqwest::Body::wrap_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
    let request = server.request("post", "/v1/sagas").header("content-type", "application/json");
    let (status, problem) = server.ask(request.body(silent)).await;
    assert_eq!((status, &problem["code"]), (504, &json!("timeout")), "{problem}");
}
