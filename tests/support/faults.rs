//! Faults of the surroundings of a process: wrong clocks, messages that a client may not survive.

use snorri_ports::broker::{Delivery, Properties};
use tokio::process::Command;

/// Arguments of `env` with which a program sees another time, as in `+20s`.
pub fn faketime(offset: &str) -> Vec<&'static str> {
    let multiarch = std::fs::read_dir("/usr/lib").expect("a directory").flatten();
    let library = multiarch.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let found = library.into_iter().find(|path| path.exists());
    let library = found.expect("libfaketime, which tests/services.sh installs");
    let variables = [format!("LD_PRELOAD={}", library.display()), format!("FAKETIME={offset}")];
    let variables = variables.into_iter().map(|variable| &*variable.leak());
    variables.chain(["FAKETIME_DONT_FAKE_MONOTONIC=1"]).collect()
}

/// Publishes one message of this kind, as `poison.py` lists them, to a queue.
pub async fn publish_poison(amqp_url: &str, queue: &str, kind: &str) {
    poison(&[amqp_url, queue, kind]).await;
}

/// Publishes one as the reply to a command.
pub async fn publish_poison_reply(amqp_url: &str, command: &Delivery, kind: &str) {
    let Properties { reply_to, correlation_id, .. } = &command.properties;
    let reply_to = reply_to.as_deref().expect("a reply queue");
    poison(&[amqp_url, reply_to, kind, correlation_id.as_deref().expect("a correlation id")]).await;
}

async fn poison(arguments: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/end_to_end/poison.py");
    let published = Command::new("/usr/bin/python3").arg(script).args(arguments).status().await;
    assert!(published.expect("python3 with pika").success(), "not published");
}
