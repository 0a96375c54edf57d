//! Every route with every role, driven by the required roles in the OpenAPI document.

use serde_json::{Value, json};
use snorri::http::{Role, hash};

use crate::process::{Server, json as answered};

/// The configuration of a token for each role: `viewer-token` for `viewer`.
pub fn tokens() -> String {
    let token = |role: Role| {
        let name = role.name();
        let sha256 = hash(&format!("{name}-token"));
        format!(
            "[[http.auth.tokens]]\nname = \"{name}-of-tests\"\nrole = \"{name}\"\nsha256 = \"{sha256}\"\n"
        )
    };
    Role::ALL.map(token).concat()
}

/// All operations: method, path with its parameters filled in, and the required role.
fn operations(document: &Value) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let filled = path
            .replace("{id}", "018f3c9e-1111-7222-8333-444455556666")
            .replace("{version}", "1")
            .replace("{name}", "order");
        assert!(!filled.contains('{'), "{path}");
        for (method, operation) in methods.as_object().expect("methods") {
            let role = operation["x-role"].as_str().expect("every operation has a role");
            found.push((method.clone(), filled.clone(), role.to_owned()));
        }
    }
    found
}

#[tokio::test]
async fn every_route_checks_every_role() {
    let server = Server::start(&tokens()).await;
    let (_, document) = server.get("/v1/openapi.json").await;
    let operations = operations(&document);
    assert!(operations.len() > 8, "{operations:?}");
    for (method, path, needed) in operations {
        let request = || match method.as_str() {
            "get" => server.request(&method, &path),
            _ => server.request(&method, &path).json(&json!({})),
        };
        let status = async |token: Option<&str>| {
            let request = token.map_or_else(request, |token| request().bearer_auth(token));
            request.send().await.expect("an answer").status().as_u16()
        };
        if needed == "open" {
            for token in [None, Some("wrong")] {
                let status = status(token).await;
                assert!(![401, 403].contains(&status), "{method} {path}: {status}");
            }
            continue;
        }
        assert_eq!(status(None).await, 401, "{method} {path} without a token");
        assert_eq!(status(Some("wrong")).await, 401, "{method} {path} with a wrong token");
        let needed = Role::named(&needed).expect("a role");
        for role in Role::ALL {
            let status = status(Some(&format!("{}-token", role.name()))).await;
            match role.covers(needed) {
                true => assert!(![401, 403].contains(&status), "{method} {path} as {role:?}: {status}"),
                false => assert_eq!(status, 403, "{method} {path} as {role:?}"),
            }
            assert!(status < 500, "{method} {path} as {role:?}: {status}");
        }
    }
}

#[tokio::test]
async fn a_request_is_authenticated_authorized_and_audited() {
    let server = Server::start(&tokens()).await;
    let (_, me) = server.ask(server.request("get", "/v1/whoami").bearer_auth("operator-token")).await;
    assert_eq!(me, json!({"name": "operator-of-tests", "role": "operator"}));

    let answer = server.request("get", "/v1/whoami").send().await.expect("an answer");
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    let (_, problem) = answered(answer).await;
    assert_eq!(problem["code"], "unauthenticated", "{problem}");
    let (_, problem) = server
        .ask(server.request("post", "/v1/sagas").bearer_auth("viewer-token").json(&json!({"nonsense": 1})))
        .await;
    assert_eq!(problem["code"], "forbidden", "before the body is validated: {problem}");

    let start = json!({"definition": "order", "input": {"orderId": "o-1"}});
    let as_operator =
        |path: &str, body: &Value| server.request("post", path).bearer_auth("operator-token").json(body);
    let (status, started) = server.ask(as_operator("/v1/sagas", &start)).await;
    assert_eq!(status, 201, "{started}");
    let saga = format!("/v1/sagas/{}", started["id"].as_str().expect("an id"));
    let cancel = json!({"reason": "by mistake", "actor": "ann"});
    let (status, cancelled) = server.ask(as_operator(&format!("{saga}/cancel"), &cancel)).await;
    assert_eq!((status, &cancelled["saga"]["ended"]), (200, &json!(true)), "{cancelled}");
    let journal = server.request("get", &format!("{saga}/journal")).bearer_auth("viewer-token");
    let (_, journal) = server.ask(journal).await;
    let actors: Vec<_> =
        journal["entries"].as_array().expect("entries").iter().map(|entry| &entry["cause"]).collect();
    assert!(format!("{actors:?}").contains("operator-of-tests for ann"), "{journal:#}");
}

#[tokio::test]
async fn without_authentication_local_callers_are_admin() {
    let server = Server::start("").await;
    let (status, me) = server.get("/v1/whoami").await;
    assert_eq!((status, me), (200, json!({"name": "anonymous", "role": "admin"})));
    for (header, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let (status, problem) = server.ask(server.request("get", "/v1/whoami").header(header, value)).await;
        assert_eq!((status, &problem["code"]), (403, &json!("not_local")), "{header}: {problem}");
    }
}
