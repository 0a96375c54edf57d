//! A process whose log can be read.

use std::path::PathBuf;

use tempfile::TempDir;
use uuid::Uuid;

use super::orchestrator::Plan;
use super::world::order;

/// A process whose log can be read.
pub struct Logged {
    pub plan: Plan,
    log: PathBuf,
    _home: TempDir,
}

impl Logged {
    pub fn new(amqp_url: &str, database_url: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let prefix = format!("t{}", Uuid::now_v7().simple());
        std::fs::create_dir(home.path().join("sagas")).expect("a directory");
        let source = order(&format!("{prefix}.commands"));
        std::fs::write(home.path().join("sagas/order.yaml"), source).expect("written");
        let log = home.path().join("log.txt");
        let mut plan = Plan::new(amqp_url, database_url, &prefix, &home.path().join("sagas"));
        plan.log_to(&log);
        Self { plan, log, _home: home }
    }

    pub fn wait_for(mut self, duration: &str) -> Self {
        self.plan.settings.push(("SNORRI__STARTUP__WAIT_FOR", duration.to_owned()));
        self
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Starts a process that does not become ready, and returns its log.
    pub async fn refused(&self) -> String {
        let mut process = self.plan.spawn();
        assert_eq!(process.exit().await, Some(1), "{}", self.log());
        self.log()
    }
}
