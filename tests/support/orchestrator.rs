//! A real `snorri serve` process, and its admin API.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::Stream;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::until;

/// How to start an orchestrator.
#[derive(Debug, Clone)]
pub struct Plan {
    pub amqp_url: String,
    pub database_url: String,
    pub prefix: String,
    pub definitions: std::path::PathBuf,
    pub port: u16,
    /// Further settings, as environment variables.
    pub settings: Vec<(&'static str, String)>,
    /// A command that runs the program in its further arguments, in place of itself.
    pub run_by: Vec<&'static str>,
}

#[derive(Debug)]
pub struct Orchestrator {
    process: Child,
    pub api: Api,
}

/// The admin API of an orchestrator.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    client: reqwest::Client,
}

impl Plan {
    pub fn new(amqp_url: &str, database_url: &str, prefix: &str, definitions: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self {
            amqp_url: amqp_url.to_owned(),
            database_url: database_url.to_owned(),
            prefix: prefix.to_owned(),
            definitions: definitions.to_owned(),
            port: free.local_addr().expect("an address").port(),
            settings: Vec::new(),
            run_by: vec!["env"],
        }
    }

    /// Appends the output of the process to this file.
    pub fn log_to(&mut self, path: &Path) {
        self.run_by = vec!["sh", "-c", "exec \"$@\" >>\"$LOG\" 2>&1", "sh"];
        self.settings.push(("LOG", path.display().to_string()));
    }

    /// Starts the process, whether it becomes ready or not.
    pub fn spawn(&self) -> Orchestrator {
        let (listen, binary) = (format!("127.0.0.1:{}", self.port), binary());
        let process = Command::new(self.run_by[0])
            .args(&self.run_by[1..])
            .args([&binary, "serve", "--amqp-url", &self.amqp_url, "--database-url", &self.database_url])
            .args(["--listen", &listen, "--definitions"])
            .arg(&self.definitions)
            .env("SNORRI__BROKER__PREFIX", &self.prefix)
            .env("SNORRI__ENGINE__OUTBOX_LEASE", "3s")
            .env("SNORRI__ENGINE__TIMER_LEASE", "2s")
            .env("SNORRI__LOG__FILTER", std::env::var("SNORRI_TEST_LOG").unwrap_or("warn".into()))
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        snorri::crypto::install();
        let api = Api { base: format!("http://{listen}"), client: reqwest::Client::new() };
        Orchestrator { process, api }
    }

    /// Starts the process and waits until it is ready.
    pub async fn start(&self) -> Orchestrator {
        let mut orchestrator = self.spawn();
        until(Duration::from_secs(30), "ready", async || {
            let ended = orchestrator.process.try_wait().expect("a process");
            assert!(ended.is_none(), "the orchestrator ended: {ended:?}");
            orchestrator.api.is_ready().await.then_some(())
        })
        .await;
        orchestrator
    }
}

impl Orchestrator {
    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.process.id().expect("a running process")
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.process.kill().await.expect("killed");
    }

    /// SIGTERM, and the exit code.
    pub async fn terminate(mut self) -> Option<i32> {
        self.signal("-TERM").await;
        self.exit().await
    }

    pub async fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.id().to_string()]).status().await;
        assert!(status.expect("kill").success());
    }

    /// Waits until the process ends without a signal.
    pub async fn exit(&mut self) -> Option<i32> {
        let wait = tokio::time::timeout(Duration::from_secs(30), self.process.wait());
        wait.await.expect("it ends").expect("a process").code()
    }
}

impl Api {
    pub async fn is_ready(&self) -> bool {
        match self.client.get(format!("{}/readyz", self.base)).send().await {
            Ok(response) => response.status().is_success(),
            Err(_) => false,
        }
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    /// A stream of events, once it has begun.
    pub async fn stream(&self, path: &str) -> impl Stream<Item = reqwest::Result<Bytes>> + Unpin + use<> {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.expect("an answer");
        Box::pin(response.error_for_status().expect("a stream").bytes_stream())
    }

    /// The same of a process that may not be up yet.
    pub async fn get_if_up(&self, path: &str) -> Option<(u16, Value)> {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.ok()?;
        Some((response.status().as_u16(), response.json().await.ok()?))
    }

    /// As [`Api::get`] with status 200; `None` while the process does not answer so.
    pub async fn try_get(&self, path: &str) -> Option<Value> {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.ok()?;
        if response.status().is_success() { response.json().await.ok() } else { None }
    }

    /// As [`Api::post`]. `None`: there was no answer.
    pub async fn try_post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let response = self.client.post(format!("{}{path}", self.base)).json(body).send().await.ok()?;
        Some((response.status().as_u16(), response.json().await.ok()?))
    }

    pub async fn text(&self, path: &str) -> String {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.expect("an answer");
        response.text().await.expect("a text")
    }

    /// The same of a process that may not be up.
    pub async fn text_if_up(&self, path: &str) -> Option<String> {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.ok()?;
        response.error_for_status().ok()?.text().await.ok()
    }

    /// The output of `snorri show` for a saga.
    pub async fn show(&self, id: &str) -> String {
        self.command(&["show", id]).await
    }

    /// The output of `snorri` with these arguments for this process.
    pub async fn command(&self, arguments: &[&str]) -> String {
        let command = Command::new(env!("CARGO_BIN_EXE_snorri"))
            .args(arguments)
            .args(["--server", &self.base])
            .output()
            .await
            .expect("it runs");
        assert!(command.status.success(), "{command:?}");
        String::from_utf8(command.stdout).expect("UTF-8")
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.base)).json(body);
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    /// Posts JSON as it is written.
    pub async fn post_text(&self, path: &str, body: &str) -> (u16, Value) {
        let request =
            self.client.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        let response = request.body(body.to_owned()).send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    /// Starts a saga, and returns its id.
    pub async fn start(&self, definition: &str, input: &Value) -> String {
        let (status, body) = self.post("/v1/sagas", &json!({"definition": definition, "input": input})).await;
        assert!(status == 201 || status == 200, "{status}: {body}");
        body["id"].as_str().expect("an id").to_owned()
    }

    /// A saga, with its whole journal as `journal`.
    pub async fn saga(&self, id: &str) -> Value {
        let (status, mut saga) = self.get(&format!("/v1/sagas/{id}")).await;
        assert_eq!(status, 200, "{saga}");
        let (mut journal, mut after) = (Vec::new(), Some(0));
        while let Some(seq) = after {
            let (status, page) = self.get(&format!("/v1/sagas/{id}/journal?limit=500&after={seq}")).await;
            assert_eq!(status, 200, "{page}");
            journal.extend(page["entries"].as_array().expect("entries").iter().cloned());
            after = page["next"].as_u64();
        }
        saga["journal"] = Value::Array(journal);
        saga
    }

    /// Waits until a saga has one of these statuses.
    pub async fn wait_for(&self, id: &str, statuses: &[&str]) -> Value {
        until(Duration::from_secs(20), &format!("saga {id} {statuses:?}"), async || {
            let saga = self.saga(id).await;
            let status = saga["status"].as_str().expect("a status");
            let rests = !["running", "compensating"].contains(&status);
            assert!(!rests || statuses.contains(&status), "{status}: {:#?}", story(&saga));
            statuses.contains(&status).then_some(saga)
        })
        .await
    }
}

/// The program that is tested: that of this build, or the one that `SNORRI_TEST_BINARY` names.
pub fn binary() -> String {
    std::env::var("SNORRI_TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_snorri").to_owned())
}

/// A saga's journal, one short line for each fact that matters to people.
pub fn story(saga: &Value) -> Vec<String> {
    let entries = saga["journal"].as_array().expect("a journal");
    let facts = entries.iter().flat_map(|entry| entry["facts"].as_array().expect("facts"));
    facts.filter_map(line).collect()
}

fn line(fact: &Value) -> Option<String> {
    if let Some(name) = fact.as_str() {
        return Some(name.to_owned());
    }
    let (name, fact) = fact.as_object()?.iter().next()?;
    // The time of these facts depends on how busy the machine is.
    if ["timer_set", "clock_started"].contains(&name.as_str()) {
        return None;
    }
    let text = |field: &str| fact[field].as_str().map(str::to_owned);
    let direction =
        text("direction").filter(|direction| direction == "compensate").map(|_| "compensation".to_owned());
    let attempt = fact["attempt"].as_u64().map(|attempt| format!("#{attempt}"));
    let code = fact["problem"]["code"].as_str().map(|code| format!("({code})"));
    let parts = [Some(name.clone()), direction, text("step"), attempt, code, text("status")];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
}
