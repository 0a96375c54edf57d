//! SQLite on a full disk (case 27): accepted sagas exist, and starts that cannot be stored are refused.
//!
//! The size of the disk is the greatest size of a file that the process may write, which can be changed while it runs.

use std::path::Path;

use futures_util::future::join_all;
use tokio::process::Command;
use uuid::Uuid;

use crate::support::Services;
use crate::support::orchestrator::Api;
use crate::*;

const WAITING: &str = r#"
saga: order
version: 1
input: { type: object, required: [orderId], properties: { orderId: { type: string } } }
key: ${ input.orderId }
steps:
  - name: paid
    wait: { signal: paid }
    timeout: 1h
"#;

/// Starts of each part of the test.
const STARTS: usize = 40;

async fn start_all(api: &Api, name: &str) -> Vec<(String, u16, Value)> {
    let starts = (0..STARTS).map(async |number| {
        let key = format!("{name}-{number}");
        let body = json!({"definition": "order", "input": {"orderId": key}});
        let (status, answer) = api.post("/v1/sagas", &body).await;
        (key, status, answer)
    });
    join_all(starts).await
}

/// Lets the process write files of at most so many bytes.
async fn limit_files(process: u32, bytes: &str) {
    let limit = format!("--fsize={bytes}:");
    let set = Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status().await;
    assert!(set.expect("prlimit, of util-linux").success());
}

fn plan(directory: &Path) -> Plan {
    let services = Services::from_env();
    std::fs::create_dir(directory.join("sagas")).expect("a directory");
    std::fs::write(directory.join("sagas/order.yaml"), WAITING).expect("written");
    let database = format!("sqlite://{}?mode=rwc", directory.join("snorri.db").display());
    let prefix = format!("t{}", Uuid::now_v7().simple());
    let plan = Plan::new(&services.amqp_url, &database, &prefix, &directory.join("sagas"));
    // Otherwise the signal of a file that is too large ends the process. Its log may be a file, too.
    Plan { run_by: vec!["sh", "-c", "trap '' XFSZ; exec \"$@\" 2>/dev/null", "sh"], ..plan }
}

#[tokio::test]
async fn what_is_accepted_on_a_full_disk_is_there_after_a_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let plan = plan(directory.path());
    let orchestrator = plan.start().await;
    let mut answers = start_all(&orchestrator.api, "before").await;

    limit_files(orchestrator.id(), "4096").await;
    let refused = start_all(&orchestrator.api, "full").await;
    for (key, status, answer) in &refused {
        assert_eq!(*status, 503, "{key}: {answer}");
        assert_eq!(answer["code"], "store_unavailable", "{answer}");
    }
    let limit = Duration::from_secs(20);
    until(limit, "not ready", async || (!orchestrator.api.is_ready().await).then_some(())).await;
    limit_files(orchestrator.id(), "unlimited").await;
    until(limit, "ready", async || orchestrator.api.is_ready().await.then_some(())).await;
    answers.extend(start_all(&orchestrator.api, "after").await);
    orchestrator.kill().await;

    let orchestrator = plan.start().await;
    for (key, status, answer) in &answers {
        assert_eq!(*status, 201, "{key}: {answer}");
        let id = answer["id"].as_str().expect("an id");
        assert_eq!(orchestrator.api.saga(id).await["key"], *key, "accepted and lost");
    }
    assert_eq!(orchestrator.terminate().await, Some(0));
}
