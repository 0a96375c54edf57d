//! Proxies of the environment, and the protection of tokens (case 20).

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::terminal::Terminal;

/// A proxy that records requests and answers with an error.
struct Proxy {
    url: String,
    seen: Arc<Mutex<String>>,
}

impl Proxy {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(String::new()));
        tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut bytes = [0; 4096];
                    let read = stream.read(&mut bytes).await.unwrap_or_default();
                    seen.lock().expect("unpoisoned").push_str(&String::from_utf8_lossy(&bytes[..read]));
                    let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
                }
            }
        });
        Self { url, seen }
    }

    fn seen(&self) -> String {
        self.seen.lock().expect("unpoisoned").clone()
    }
}

#[tokio::test]
async fn a_server_on_this_machine_is_reached_without_a_proxy() {
    let proxy = Proxy::new().await;
    let terminal = Terminal::with_server("").await;
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        let output = terminal.run(&format!("{variable}={} SNORRI_TOKEN=secret snorri list", proxy.url)).await;
        output.expect(0);
    }
    assert_eq!(proxy.seen(), "");
}

#[tokio::test]
async fn what_no_proxy_names_is_reached_without_one() {
    let proxy = Proxy::new().await;
    let terminal = Terminal::alone();
    let list = format!("http_proxy={} snorri list --server http://snorri.test:7070", proxy.url);
    terminal.run(&format!("no_proxy=snorri.test {list}")).await.expect(6);
    terminal.run(&format!("NO_PROXY=.test {list}")).await.expect(6);
    assert_eq!(proxy.seen(), "");
    terminal.run(&list).await;
    assert!(proxy.seen().starts_with("GET http://snorri.test:7070/v1/sagas"), "{}", proxy.seen());
}

#[tokio::test]
async fn a_token_is_never_sent_in_the_clear() {
    let proxy = Proxy::new().await;
    let terminal = Terminal::alone();
    let list = format!("http_proxy={0} https_proxy={0} SNORRI_TOKEN=secret snorri list", proxy.url);
    let output = terminal.run(&format!("{list} --server http://snorri.test:7070")).await.expect(2);
    assert!(output.err.contains("https") && output.err.contains("--insecure"), "{}", output.err);
    assert_eq!(proxy.seen(), "");
    terminal.run(&format!("{list} --server https://snorri.test:7070")).await.expect(6);
    assert!(proxy.seen().starts_with("CONNECT snorri.test:7070"), "{}", proxy.seen());
    assert!(!proxy.seen().contains("secret"), "{}", proxy.seen());
    terminal.run(&format!("{list} --insecure --server http://snorri.test:7070")).await;
    assert!(proxy.seen().contains("Bearer secret"), "--insecure allows it: {}", proxy.seen());
}
