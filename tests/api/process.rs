//! A `snorri serve` process with the settings of a test.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A saga that waits for a signal, so that interventions are possible.
const DEFINITION: &str = "saga: order
version: 1
input:
  type: object
  required: [orderId]
  properties: { orderId: { type: string } }
key: ${ input.orderId }
steps:
  - name: approval
    wait: { signal: approved }
    timeout: 1h
";

#[derive(Debug)]
pub struct Server {
    _process: Child,
    _home: TempDir,
    pub base: String,
    pub client: reqwest::Client,
}

/// The end of a process that did not start.
#[derive(Debug)]
pub struct Ended {
    pub success: bool,
    pub stderr: String,
}

impl Server {
    /// Starts a server with these lines of configuration, and waits until it answers.
    pub async fn start(settings: &str) -> Self {
        Self::start_at("http", settings, client()).await
    }

    pub async fn start_at(scheme: &str, settings: &str, client: reqwest::Client) -> Self {
        let home = home();
        let port = free_port();
        let process = command(&home, &format!("127.0.0.1:{port}"), settings).spawn().expect("a process");
        let server =
            Self { _process: process, _home: home, base: format!("{scheme}://localhost:{port}"), client };
        for _ in 0..500 {
            let answer = server.client.get(format!("{}/livez", server.base)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server does not answer");
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request and returns the status and the JSON body.
    pub async fn ask(&self, request: RequestBuilder) -> (u16, Value) {
        json(request.send().await.expect("an answer")).await
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(self.request("get", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(self.request("post", path).json(body)).await
    }
}

/// Decodes a response. An error must be a problem.
pub async fn json(answer: Response) -> (u16, Value) {
    let status = answer.status();
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("text").to_owned());
    let text = answer.text().await.expect("a body");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"));
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{status}: {body}");
        assert_eq!(body["status"], status.as_u16(), "{body}");
    }
    (status.as_u16(), body)
}

/// Starts a process with settings that it must reject, and waits for its end.
pub async fn refusal(listen: &str, settings: &str) -> Ended {
    let home = home();
    let mut command = command(&home, listen, settings);
    let output = command.stderr(Stdio::piped()).output();
    let output = tokio::time::timeout(Duration::from_secs(20), output).await.expect("it ends").expect("run");
    Ended { success: output.status.success(), stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
}

pub fn client() -> reqwest::Client {
    snorri::crypto::install();
    reqwest::Client::new()
}

pub fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("an address").port()
}

fn home() -> TempDir {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(home.path().join("sagas")).expect("a directory");
    std::fs::write(home.path().join("sagas/order.yaml"), DEFINITION).expect("written");
    home
}

fn command(home: &TempDir, listen: &str, settings: &str) -> Command {
    let config = home.path().join("snorri.toml");
    let path = home.path().display();
    let own = format!(
        "[broker]\nurl = \"local\"\n[database]\nurl = \"sqlite://{path}/snorri.db?mode=rwc\"\n\
         [definitions]\ndirectory = \"{path}/sagas\"\n[log]\nfilter = \"off\"\n"
    );
    std::fs::write(&config, format!("{own}{settings}")).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_snorri"));
    command.arg("serve").arg("--config").arg(config).args(["--listen", listen]);
    command.env("RUST_BACKTRACE", "0").stdin(Stdio::null()).kill_on_drop(true);
    command
}
