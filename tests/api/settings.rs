//! TLS, tokens, and settings that the process rejects.

use std::path::PathBuf;
use std::process::Command;

use rcgen::generate_simple_self_signed;
use reqwest::Certificate;
use serde_json::json;
use tempfile::TempDir;

use crate::process::{Server, client, refusal};

/// A certificate for localhost and its key: their directory, the settings, and the path of the certificate.
fn certified() -> (TempDir, String, PathBuf) {
    let home = tempfile::tempdir().expect("a directory");
    let certified = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = home.path().join("tls.crt");
    std::fs::write(&certificate, certified.cert.pem()).expect("written");
    std::fs::write(home.path().join("tls.key"), certified.signing_key.serialize_pem()).expect("written");
    let path = home.path().display();
    let settings = format!("[http.tls]\ncertificate = \"{path}/tls.crt\"\nkey = \"{path}/tls.key\"\n");
    (home, settings, certificate)
}

#[tokio::test]
async fn it_speaks_tls_and_nothing_else() {
    let (_home, settings, certificate) = certified();
    client();
    let root = Certificate::from_pem(&std::fs::read(&certificate).expect("read")).expect("a certificate");
    let trusting = reqwest::Client::builder().tls_certs_only([root]).build().expect("a client");
    let server = Server::start_at("https", &settings, trusting).await;
    assert_eq!(server.get("/v1/whoami").await.0, 200);
    assert!(client().get(format!("{}/livez", server.base)).send().await.is_err(), "an untrusting client");
    let plain = server.base.replace("https", "http");
    let plain = server.client.get(format!("{plain}/livez")).send().await;
    assert!(plain.is_err(), "{plain:?}");
}

#[tokio::test]
async fn off_loopback_it_does_not_start_without_authentication() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let ended = refusal(listen, "").await;
        assert!(!ended.success, "{}", ended.stderr);
        for part in ["no authentication", "snorri token", "127.0.0.1"] {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn unusable_settings_are_refused() {
    let missing = "[http.tls]\ncertificate = \"/nowhere/tls.crt\"\nkey = \"/nowhere/tls.key\"\n";
    let token = |sha256: &str| {
        format!("[[http.auth.tokens]]\nname = \"ann\"\nrole = \"operator\"\nsha256 = \"{sha256}\"\n")
    };
    let cases = [
        (missing.to_owned(), "/nowhere/tls.crt"),
        (token("secret"), "snorri token"),
        (token(&"0".repeat(64)).replace("operator", "root"), "root"),
        ("[http.auth]\npasswords = []\n".to_owned(), "passwords"),
    ];
    for (settings, expected) in cases {
        let ended = refusal("127.0.0.1:0", &settings).await;
        assert!(!ended.success && ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_generated_token_is_accepted() {
    let made = Command::new(env!("CARGO_BIN_EXE_snorri"))
        .args(["token", "an \"odd\" name", "--role", "deployer"])
        .output()
        .expect("run");
    assert!(made.status.success());
    let (settings, stderr) =
        (String::from_utf8(made.stdout).expect("text"), String::from_utf8_lossy(&made.stderr));
    let token = stderr.split_whitespace().find(|word| word.starts_with("snorri_")).expect("a token");
    assert!(!settings.contains(token), "only the hash goes to the configuration: {settings}");
    let server = Server::start(&settings).await;
    let (status, me) = server.ask(server.request("get", "/v1/whoami").bearer_auth(token)).await;
    assert_eq!((status, me), (200, json!({"name": "an \"odd\" name", "role": "deployer"})));
}
