//! A shell with `snorri`, its own home directory, and optionally a server.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

const SNORRI: &str = env!("CARGO_BIN_EXE_snorri");

#[derive(Debug)]
pub struct Terminal {
    home: TempDir,
    server: Option<String>,
    _process: Option<Child>,
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Output {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl Terminal {
    /// A terminal without a server.
    pub fn alone() -> Self {
        Self { home: tempfile::tempdir().expect("a directory"), server: None, _process: None }
    }

    /// A terminal with `snorri demo --serve`: the order saga, its participants, and two orders that wait for an operator.
    pub async fn with_demo() -> Self {
        let terminal = Self::with_process(&["demo", "--serve"]).await;
        // The last of the orders.
        while terminal.run("snorri show order/o-1004").await.code == 3 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        terminal
    }

    /// A terminal with a server on the embedded default, without participants, with these lines of configuration.
    pub async fn with_server(config: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("snorri.toml");
        std::fs::write(&file, config).expect("written");
        let file = file.display().to_string();
        Self { home, ..Self::with_process(&["serve", "--config", &file]).await }
    }

    async fn with_process(arguments: &[&str]) -> Self {
        let mut terminal = Self::alone();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let database = format!("sqlite://{}?mode=rwc", terminal.path("snorri.db").display());
        let mut process = terminal.command(SNORRI);
        process.args(arguments).args(["--listen", &address]);
        process.env("SNORRI__BROKER__URL", "local").env("SNORRI__DATABASE__URL", database);
        process.env("SNORRI__DEFINITIONS__DIRECTORY", concat!(env!("CARGO_MANIFEST_DIR"), "/sagas"));
        process.env("SNORRI__LOG__FILTER", "warn").stdin(Stdio::null()).stdout(Stdio::null());
        terminal._process = Some(process.kill_on_drop(true).spawn().expect("a process"));
        terminal.server = Some(format!("http://{address}"));
        terminal.await_server(&address).await;
        terminal
    }

    async fn await_server(&self, address: &str) {
        let limit = Duration::from_secs(30);
        let connected = tokio::time::timeout(limit, async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            while self.run("snorri list").await.code == 6 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        connected.await.expect("the server starts");
    }

    pub fn server(&self) -> &str {
        self.server.as_deref().unwrap_or_default()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(&path, text).expect("written");
        path
    }

    /// Runs a line in a shell.
    pub async fn run(&self, line: &str) -> Output {
        let mut command = self.command("sh");
        command.args(["-c", line]);
        if let Some(server) = &self.server {
            command.env("SNORRI_SERVER", server);
        }
        let run = tokio::time::timeout(Duration::from_secs(60), command.stdin(Stdio::null()).output());
        let output = run.await.unwrap_or_else(|_| panic!("`{line}` does not end")).expect("a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Output {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    pub async fn ok(&self, line: &str) -> String {
        self.run(line).await.expect(0).out
    }

    /// A command without the environment of the tests.
    fn command(&self, program: &str) -> Command {
        let directory = Path::new(SNORRI).parent().expect("a directory").display().to_string();
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.home.path()).kill_on_drop(true);
        command.env("PATH", format!("{directory}:{}", std::env::var("PATH").unwrap_or_default()));
        command.env("HOME", self.home.path()).env("XDG_CONFIG_HOME", self.path("config")).env("USER", "ann");
        command
    }
}
