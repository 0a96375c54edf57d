//! The accepted tokens of an issuer, and the roles that they grant.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::process::{Server, refusal};

/// A signer with ES256, under this key id.
struct Signer {
    id: &'static str,
    key: EncodingKey,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).expect("a key");
        Self { id, key }
    }

    fn public(&self) -> Value {
        let mut key = Jwk::from_encoding_key(&self.key, Algorithm::ES256).expect("a key");
        key.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(key).expect("JSON")
    }

    fn token(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.key).expect("signed")
    }
}

fn claims() -> Value {
    let now = get_current_timestamp();
    json!({
        "iss": "https://id.example", "aud": "snorri", "sub": "ann", "exp": now + 300,
        "access": {"groups": ["saga-Operators", "staff"]},
    })
}

fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

fn settings(jwks: &str) -> String {
    format!(
        "[http.auth.jwt]\nissuer = \"https://id.example\"\naudience = \"snorri\"\nalgorithms = [\"ES256\", \"RS256\"]\n\
         jwks = \"{jwks}\"\nrefresh = \"300ms\"\nrole_claim = \"access.groups\"\n\
         [http.auth.jwt.roles]\nsaga-Operators = \"operator\"\nstaff = \"viewer\"\n"
    )
}

async fn whoami(server: &Server, token: &str) -> (u16, Value) {
    server.ask(server.request("get", "/v1/whoami").bearer_auth(token)).await
}

#[tokio::test]
async fn only_what_the_issuer_signed_for_us_counts() {
    let (signer, stranger) = (Signer::new("one"), Signer::new("one"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, json!({"keys": [signer.public()]}).to_string()).expect("written");
    let server = Server::start(&settings(&file.path().display().to_string())).await;

    let (status, me) = whoami(&server, &signer.token(&claims())).await;
    assert_eq!((status, me), (200, json!({"name": "ann", "role": "operator"})));

    let now = get_current_timestamp();
    let refused = [
        ("expired", signer.token(&with(&json!({"exp": now - 60})))),
        ("not yet valid", signer.token(&with(&json!({"nbf": now + 120})))),
        ("of another issuer", signer.token(&with(&json!({"iss": "https://evil.example"})))),
        ("for another audience", signer.token(&with(&json!({"aud": "billing"})))),
        ("without expiry", signer.token(&with(&json!({"exp": null})))),
        ("without an audience", signer.token(&with(&json!({"aud": null})))),
        ("without a subject", signer.token(&with(&json!({"sub": ""})))),
        ("signed by a stranger", stranger.token(&claims())),
        ("of an unknown key", Signer::new("two").token(&claims())),
        ("signed with the public key", symmetric(&signer)),
        ("not signed", unsigned()),
        ("changed", changed(&signer)),
        ("nonsense", "a.b.c".to_owned()),
    ];
    for (what, token) in refused {
        let (status, problem) = whoami(&server, &token).await;
        assert_eq!((status, &problem["code"]), (401, &json!("unauthenticated")), "{what}: {problem}");
    }
    let no_role = signer.token(&with(&json!({"access": {"groups": ["admin", "others"]}})));
    let (status, problem) = whoami(&server, &no_role).await;
    assert_eq!((status, &problem["code"]), (403, &json!("forbidden")), "{problem}");
}

/// A token signed by HMAC, with the public key as the secret.
fn symmetric(signer: &Signer) -> String {
    let header = Header { kid: Some(signer.id.to_owned()), ..Header::new(Algorithm::HS256) };
    let secret = EncodingKey::from_secret(signer.public().to_string().as_bytes());
    encode(&header, &claims(), &secret).expect("signed")
}

/// An unsigned token: `{"alg":"none","typ":"JWT"}` and the claims of another token.
fn unsigned() -> String {
    let token = Signer::new("one").token(&claims());
    let claims = token.split('.').nth(1).expect("claims");
    format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.")
}

/// A token with the claims of one and the signature of another.
fn changed(signer: &Signer) -> String {
    let (good, better) = (signer.token(&claims()), signer.token(&with(&json!({"sub": "root"}))));
    let mut parts: Vec<_> = good.split('.').collect();
    parts[1] = better.split('.').nth(1).expect("claims");
    parts.join(".")
}

#[tokio::test]
async fn a_new_key_is_asked_for_but_not_by_every_token() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let keys = Arc::new(Mutex::new(json!({"keys": [old.public()]})));
    let asked = Arc::new(AtomicUsize::new(0));
    let issuer = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/keys", issuer.local_addr().expect("an address"));
    let route = {
        let (keys, asked) = (Arc::clone(&keys), Arc::clone(&asked));
        get(async move || {
            asked.fetch_add(1, Ordering::SeqCst);
            Json(keys.lock().expect("unpoisoned").clone())
        })
    };
    tokio::spawn(async move { axum::serve(issuer, Router::new().route("/keys", route)).await });

    let server = Server::start(&settings(&url)).await;
    assert_eq!(whoami(&server, &old.token(&claims())).await.0, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "known keys are not fetched");
    tokio::time::sleep(Duration::from_millis(400)).await;
    for _ in 0..20 {
        assert_eq!(whoami(&server, &new.token(&claims())).await.0, 401);
    }
    assert!(asked.load(Ordering::SeqCst) <= 4, "{asked:?}: unknown keys cause few fetches");

    *keys.lock().expect("unpoisoned") = json!({"keys": [new.public()]});
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(whoami(&server, &new.token(&claims())).await.0, 200);
    assert_eq!(whoami(&server, &old.token(&claims())).await.0, 401, "a withdrawn key is rejected");
}

#[tokio::test]
async fn settings_that_would_let_strangers_in_are_refused() {
    let good = settings("/nowhere/keys.json");
    let cases = [
        (good.clone(), "/nowhere/keys.json"),
        (good.replace("\"ES256\", \"RS256\"", "\"HS256\""), "HS256"),
        (good.replace("\"ES256\", \"RS256\"", ""), "algorithms"),
        (good.replace("\"snorri\"", "\"\""), "audience"),
        (settings("http://id.example/keys"), "https"),
    ];
    for (settings, expected) in cases {
        let ended = refusal("127.0.0.1:0", &settings).await;
        assert!(!ended.success && ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
}
