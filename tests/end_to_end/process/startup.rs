//! A start without its database or broker, or with unusable ones.

use sea_orm::{ConnectionTrait, Database};

use crate::support::Services;
use crate::support::logged::Logged;
use crate::support::orchestrator::Orchestrator;
use crate::support::proxy::{Proxy, elsewhere, free_port};
use crate::*;

/// Waits until `/readyz` reports that the start waits for this part, and returns why.
async fn waiting_for(process: &Orchestrator, part: &str) -> String {
    until(Duration::from_secs(20), part, async || {
        let answer = process.api.get_if_up("/readyz").await?;
        assert_eq!(answer.0, 503, "{answer:?}");
        answer.1["waiting_for"][part].as_str().map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn a_start_waits_for_database_and_broker_while_the_probes_answer() {
    let services = Services::from_env();
    let database = services.database().await;
    let (database_port, broker_port) = (free_port(), free_port());
    let logged =
        Logged::new(&elsewhere(&services.amqp_url, broker_port), &elsewhere(&database, database_port));
    let process = logged.plan.spawn();
    let reason = waiting_for(&process, "database").await;
    assert!(reason.contains(&format!("127.0.0.1:{database_port}")) && reason.contains("refused"), "{reason}");
    assert_eq!(process.api.text("/livez").await, "ok");
    let (status, problem) = process.api.post("/v1/sagas", &json!({})).await;
    assert_eq!((status, &problem["code"]), (503, &json!("starting")), "{problem}");

    let _database = Proxy::at(database_port, &database).await;
    let reason = waiting_for(&process, "broker").await;
    assert!(reason.contains(&format!("127.0.0.1:{broker_port}")) && reason.contains("refused"), "{reason}");
    let log = logged.log();
    for (part, port, user) in [("database", database_port, "snorri"), ("broker", broker_port, "guest")] {
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains(&format!("waiting for the {part}"))).collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(
            lines[0].contains(&format!("user `{user}`")) && lines[0].contains(&port.to_string()),
            "{log}"
        );
    }
    assert!(!log.contains("not-to-be-seen"), "{log}");
    let began = Instant::now();
    assert_eq!(process.terminate().await, Some(0), "it stops while it waits");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_wait_has_a_bound() {
    let services = Services::from_env();
    let database = services.database().await;
    for wait_for in ["0", "1s"] {
        let nowhere = elsewhere(&database, free_port());
        let log = Logged::new(&services.amqp_url, &nowhere).wait_for(wait_for).refused().await;
        assert!(log.contains("the database is not available") && log.contains("refused"), "{log}");
        let nowhere = elsewhere(&services.amqp_url, free_port());
        let log = Logged::new(&nowhere, &database).wait_for(wait_for).refused().await;
        assert!(log.contains("the broker is not available") && log.contains("refused"), "{log}");
        assert!(!log.contains("not-to-be-seen"), "{log}");
    }
}

#[tokio::test]
async fn an_unusable_database_or_broker_is_reported() {
    let services = Services::from_env();
    let database = services.database().await;
    let (server, _) = database.rsplit_once('/').expect("a URL");
    let port =
        services.amqp_url.rsplit_once('@').expect("a user").1.split(['/', ':']).nth(1).expect("a port");
    let port: u16 = port.parse().expect("a port");
    let not_sqlite = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(not_sqlite.path(), "not a database, but long enough to look like one".repeat(100))
        .expect("written");
    for (url, reason) in [
        (format!("{server}/nowhere"), "database \"nowhere\" does not exist"),
        (elsewhere(&database, port), "not PostgreSQL"),
        ("mysql://ann:not-to-be-seen@127.0.0.1/shop".to_owned(), "must begin with postgres:// or sqlite://"),
        ("sqlite:///nowhere/at/all.db?mode=rwc".to_owned(), "unable to open database file"),
        (format!("sqlite://{}", not_sqlite.path().display()), "file is not a database"),
    ] {
        let log = Logged::new(&services.amqp_url, &url).refused().await;
        assert!(
            log.contains(reason) && !log.contains("not-to-be-seen") && !log.contains("timed out"),
            "{url}: {log}"
        );
    }
    let log = Logged::new(&elsewhere(&services.amqp_url, port), &database).refused().await;
    assert!(log.contains("ACCESS_REFUSED") && log.contains("user `guest`"), "{log}");
    assert!(!log.contains("not-to-be-seen"), "{log}");
}

#[tokio::test]
async fn a_schema_that_is_behind_is_named() {
    let services = Services::from_env();
    let mut logged = Logged::new(&services.amqp_url, &services.database().await);
    logged.plan.settings.push(("SNORRI__DATABASE__MIGRATE", "false".to_owned()));
    let log = logged.refused().await;
    assert!(log.contains("lacks the migrations"), "{log}");
}

#[tokio::test]
async fn of_several_addresses_the_one_that_can_be_used_is() {
    let services = Services::from_env();
    let (standby, writable) = (services.database().await, services.database().await);
    let server = Database::connect(&services.database_url).await.expect("PostgreSQL answers");
    let name = standby.rsplit_once('/').expect("a URL").1;
    let only_read = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    server.execute_unprepared(&only_read).await.expect("altered");
    let proxy = Proxy::to(&writable).await;
    let databases =
        [elsewhere(&standby, free_port()), standby, proxy.url.clone(), writable.clone()].join(",");
    let brokers = [elsewhere(&services.amqp_url, free_port()), services.amqp_url.clone()].join(",");
    let logged = Logged::new(&brokers, &databases);
    let process = logged.plan.start().await;
    let input = |key: &str| json!({"definition": "order", "input": {"orderId": key, "amount": 1}});
    assert_eq!(process.api.post("/v1/sagas", &input("o-1")).await.0, 201);

    proxy.cut();
    until(Duration::from_secs(20), "the other address", async || {
        (process.api.post("/v1/sagas", &input("o-2")).await.0 < 300).then_some(())
    })
    .await;
    until(Duration::from_secs(20), "ready", async || process.api.is_ready().await.then_some(())).await;
    assert!(logged.log().contains("another database takes the writes now"), "{}", logged.log());
    assert_eq!(process.terminate().await, Some(0));
}
