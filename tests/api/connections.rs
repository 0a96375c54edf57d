//! Silent and slow clients: they take no connection or request slot that others need.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::process::Server;

/// Longer than the server keeps a silent connection, in its default configuration.
const PATIENCE: Duration = Duration::from_secs(60);

async fn connect(server: &Server, bytes: &[u8]) -> TcpStream {
    let address = server.base.rsplit_once('/').expect("a URL").1.replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(bytes).await.expect("written");
    stream
}

async fn connect_many(server: &Server, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        streams.push(connect(server, bytes).await);
    }
    streams
}

/// Reads until the server closes the connection.
async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset also ends the connection.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed in time");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn answers(server: &Server) {
    let began = Instant::now();
    // On new connections: an idle one may be closed for another.
    for path in ["/livez", "/v1/sagas"] {
        let client = reqwest::Client::new();
        let answer = client.get(format!("{}{path}", server.base)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

const SLOW_BODY: &[u8] =
    b"POST /v1/sagas HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
const SLOW_HEAD: &[u8] = b"POST /v1/sagas HTTP/1.1\r\nhost: localhost\r\n";

#[tokio::test]
async fn silent_and_slow_connections_keep_no_others_out() {
    let server = Server::start("").await;
    let _streams = connect_many(&server, 1_000, b"").await;
    answers(&server).await;
    let server = Server::start("[http]\nmax_connections = 100").await;
    for bytes in [&b"P"[..], b"PRI * HTTP/2.0\r\n", SLOW_HEAD, SLOW_BODY] {
        let _streams = connect_many(&server, 150, bytes).await;
        answers(&server).await;
    }
}

#[tokio::test]
async fn slow_bodies_take_no_place_among_the_requests() {
    let server = Server::start("[http]\nmax_concurrent_requests = 4").await;
    let _streams = connect_many(&server, 50, SLOW_BODY).await;
    answers(&server).await;
}

#[tokio::test]
async fn a_connection_that_sends_too_slowly_is_closed() {
    let server = Server::start("[http]\nbody_timeout = \"1s\"").await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut ends = Vec::new();
    for bytes in [&b""[..], b"PRI", SLOW_HEAD, SLOW_BODY] {
        ends.push(tokio::spawn(read_to_end(connect(&server, bytes).await)));
    }
    let mut answers = Vec::new();
    for end in ends {
        answers.push(end.await.expect("no panic"));
    }
    assert_eq!(answers[..2], ["", ""]);
    assert!(
        answers[3].starts_with("HTTP/1.1 408") && answers[3].contains("\"body_timeout\""),
        "{}",
        answers[3]
    );
    // The client sends the preface and does not answer pings.
    let silent = connect(&server, preface).await;
    let _ = tokio::time::timeout(2 * PATIENCE, read_to_end(silent)).await.expect("closed in time");
}

#[tokio::test]
async fn connections_that_are_worked_on_are_not_closed_for_others() {
    let server = Server::start("[http]\nmax_connections = 10").await;
    let wait = "/v1/sagas/events";
    let watch = format!("GET {wait} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut watcher = connect(&server, watch.as_bytes()).await;
    let mut head = [0; 12];
    watcher.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200");
    let _silent = connect_many(&server, 50, b"").await;
    answers(&server).await;
    let mut rest = [0; 4096];
    // The stream sends its headers and stays open.
    while let Ok(read) = tokio::time::timeout(Duration::from_secs(1), watcher.read(&mut rest)).await {
        assert!(read.expect("open") > 0, "the watcher was closed");
    }
}
