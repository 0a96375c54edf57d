//! The shared parts of tests on real services: the services, an orchestrator process, programmable participants, and a ledger
//! of their effects.

#![allow(dead_code, reason = "every test binary uses another part of it")]

pub mod demo;
pub mod faults;
pub mod ledger;
pub mod logged;
pub mod orchestrator;
pub mod participants;
pub mod proxy;
pub mod trades;
pub mod world;

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use uuid::Uuid;

/// A real RabbitMQ and a real PostgreSQL.
#[derive(Debug, Clone)]
pub struct Services {
    pub amqp_url: String,
    pub database_url: String,
}

impl Services {
    pub fn from_env() -> Self {
        let url = |name: &str| {
            std::env::var(name)
                .unwrap_or_else(|_| panic!("{name} is not set: run the tests with `make test`"))
        };
        Self { amqp_url: url("SNORRI_TEST_AMQP_URL"), database_url: url("SNORRI_TEST_DATABASE_URL") }
    }

    /// A new, empty database, and its URL.
    pub async fn database(&self) -> String {
        let name = format!("snorri_{}", Uuid::now_v7().simple());
        let server = Database::connect(&self.database_url).await.expect("PostgreSQL answers");
        server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database");
        server.close().await.expect("closed");
        let (server, _) = self.database_url.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{name}")
    }
}

/// Kills or restarts one of the private services. `false`: the services are not private.
pub async fn service(action: &str, name: &str) -> bool {
    if std::env::var_os("SNORRI_TEST_SERVICES_DIR").is_none() {
        eprintln!("the services are not started by tests/services.sh: {name} is not touched");
        return false;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services.sh");
    let status =
        tokio::process::Command::new(script).args([action, name]).status().await.expect("services.sh");
    assert!(status.success(), "services.sh {action} {name}");
    true
}

/// Waits until `condition` returns a value, for at most `limit`.
pub async fn until<T>(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let began = tokio::time::Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
