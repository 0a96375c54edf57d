//! Measures what the orchestrator does under each condition that it has to survive: `make conditions`.
//!
//! Each test is one row of `docs/reliability/conditions.md`, and fails if something was lost, done twice or stuck, or if `/readyz`
//! took longer than a second. The tests kill the broker and the database, so that they run one after the other.

#[path = "conditions/bad_items.rs"]
mod bad_items;
#[path = "conditions/broker.rs"]
mod broker;
#[path = "conditions/clients.rs"]
mod clients;
#[path = "conditions/clocks.rs"]
mod clocks;
#[path = "conditions/database.rs"]
mod database;
#[path = "conditions/messages.rs"]
mod messages;
#[path = "conditions/outcome.rs"]
mod outcome;
#[path = "conditions/participant.rs"]
mod participant;
#[path = "conditions/process.rs"]
mod process;
#[path = "conditions/run.rs"]
mod run;
#[path = "conditions/site.rs"]
mod site;
#[path = "conditions/sqlite.rs"]
mod sqlite;
#[path = "conditions/start_and_stop.rs"]
mod start_and_stop;
mod support;
#[path = "conditions/table.rs"]
mod table;
#[path = "conditions/watch.rs"]
mod watch;

use sea_orm::{ConnectionTrait, Database, Statement};
use support::Services;
use support::orchestrator::binary;

/// Writes what the table was measured with.
#[tokio::test]
#[ignore = "part of `make conditions`"]
async fn a_description_of_the_machine() {
    snorri::crypto::install();
    let database = Database::connect(&Services::from_env().database_url).await.expect("PostgreSQL answers");
    let sql = "SELECT current_setting('server_version'), current_date::text";
    let statement = Statement::from_string(database.get_database_backend(), sql);
    let row = database.query_one_raw(statement).await.expect("an answer").expect("a row");
    let [postgres, date] = [0, 1].map(|column| row.try_get_by_index::<String>(column).expect("a text"));
    let management = std::env::var("SNORRI_TEST_MANAGEMENT_URL").expect("the management API");
    let overview = reqwest::get(format!("{management}/api/overview")).await.expect("an answer");
    let overview: serde_json::Value = overview.json().await.expect("JSON");
    let cores = std::thread::available_parallelism().expect("a number");
    let build = if binary().contains("/release/") { "release" } else { "debug" };
    let line = format!(
        "Measured on {date}: {cores} cores, snorri {} ({build} build), RabbitMQ {}, PostgreSQL {}, {}.",
        env!("CARGO_PKG_VERSION"),
        overview["rabbitmq_version"].as_str().unwrap_or("?"),
        postgres.split(' ').next().unwrap_or("?"),
        std::env::consts::OS,
    );
    println!("{line}");
    table::replace_line("Measured on ", &line);
}
