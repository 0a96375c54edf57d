//! The processes of a run: this program again, in a role, and the orchestrator under test.
//!
//! A role writes its events as one JSON line each to its standard output. It ends when its standard input does, so that none
//! outlives the coordinator, however that ends; dropping a [`Process`] kills it.

use std::io::Read;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::load::Seen;
use crate::{embedded, floor, load, participant, starting};

/// How long a process may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// The roles of this program.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Participant(participant::Plan),
    Load { amqp_url: String, plan: load::Plan },
    Starting(starting::Plan),
    Floor(floor::Plan),
    Embedded(embedded::Plan),
}

/// The events of a role for the coordinator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The role has begun to work.
    Ready,
    /// Measuring begins.
    Warm,
    /// Measuring ended.
    Measured,
    Seen(Seen),
}

impl Role {
    /// Plays the role, in a process of its own. One thread suffices for the participant and the load: it costs least, and lapin
    /// has one more for each connection. Orchestrators have the runtime of `snorri`; for the floor it was the faster one too.
    pub fn play(self) -> anyhow::Result<()> {
        std::thread::spawn(end_with_input);
        let mut builder = match self {
            Self::Participant(_) | Self::Load { .. } | Self::Starting(_) => {
                tokio::runtime::Builder::new_current_thread()
            }
            Self::Floor(_) | Self::Embedded(_) => tokio::runtime::Builder::new_multi_thread(),
        };
        builder.enable_all().build()?.block_on(async {
            match self {
                Self::Participant(plan) => participant::run(plan).await,
                Self::Load { amqp_url, plan } => load::run(&amqp_url, &plan).await,
                Self::Starting(plan) => starting::run(plan).await,
                Self::Floor(plan) => floor::run(plan).await,
                Self::Embedded(plan) => embedded::run(plan).await,
            }
        })
    }
}

fn end_with_input() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(0);
}

/// Sends an event to the coordinator.
pub fn send(event: &Event) {
    println!("{}", serde_json::to_string(event).expect("an event is JSON"));
}

/// A role in a process of its own.
#[derive(Debug)]
pub struct Process {
    child: Child,
    _input: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub fn spawn(role: &Role) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--role", &serde_json::to_string(role)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a role")?;
        let input = child.stdin.take().context("a pipe")?;
        let events = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        Ok(Self { child, _input: input, events })
    }

    /// Starts a role and waits until it is ready.
    pub async fn start(role: &Role) -> anyhow::Result<Self> {
        let mut process = Self::spawn(role)?;
        match process.event(PATIENCE).await? {
            Event::Ready => Ok(process),
            other => bail!("{other:?} instead of Ready"),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// The next event, which must arrive within `limit`.
    pub async fn event(&mut self, limit: Duration) -> anyhow::Result<Event> {
        let line = timeout(limit, self.events.next_line()).await;
        let line = line.with_context(|| format!("a role sends no event for {limit:?}"))??;
        let line = line.context("a role ended early; its error is above")?;
        serde_json::from_str(&line).with_context(|| format!("an event, not `{line}`"))
    }

    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// A `snorri serve` of a release build.
#[derive(Debug)]
pub struct Snorri {
    child: Child,
    address: String,
}

impl Snorri {
    /// Starts one and waits until it is ready. `settings` are environment variables.
    pub async fn start(
        binary: &std::path::Path,
        amqp_url: &str,
        database_url: &str,
        prefix: &str,
        definitions: &std::path::Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let child = Command::new(binary)
            .args(["serve", "--amqp-url", amqp_url, "--database-url", database_url, "--listen", &address])
            .arg("--definitions")
            .arg(definitions)
            .env("SNORRI__BROKER__PREFIX", prefix)
            .env("SNORRI__LOG__FILTER", "warn")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start snorri")?;
        let mut snorri = Self { child, address };
        let began = Instant::now();
        while snorri.get("readyz").await.is_err() {
            if let Some(status) = snorri.child.try_wait()? {
                bail!("snorri ended with {status}; its log is above");
            }
            ensure!(began.elapsed() < PATIENCE, "snorri is not ready after {PATIENCE:?}");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(snorri)
    }

    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Where the admin API listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The body of the admin API's answer, if it is a success.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        let response = reqwest::get(self.url(path)).await?.error_for_status()?;
        Ok(response.text().await?)
    }

    /// Sends SIGTERM, and returns how long the process took to end.
    pub async fn terminate(mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().await?;
        ensure!(sent.success(), "cannot send a SIGTERM");
        let status = timeout(PATIENCE, self.child.wait()).await.context("snorri does not stop")??;
        ensure!(status.success(), "snorri stopped with {status}");
        Ok(began.elapsed())
    }
}
