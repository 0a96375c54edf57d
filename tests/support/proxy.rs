//! A proxy that makes a service unavailable: connections go through it, and are cut or frozen.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to another port of this machine, unless it is cut or frozen.
#[derive(Debug)]
pub struct Proxy {
    /// The URL to connect to, in the place of the service's own.
    pub url: String,
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Cut,
    Frozen,
}

impl Proxy {
    pub async fn to(url: &str) -> Self {
        Self::new(0, url, b"").await
    }

    /// On this port.
    pub async fn at(port: u16, url: &str) -> Self {
        Self::new(port, url, b"").await
    }

    /// Ends each connection on which the service sends these bytes.
    pub async fn choking_on(url: &str, culprit: &'static [u8]) -> Self {
        Self::new(0, url, culprit).await
    }

    async fn new(port: u16, url: &str, culprit: &'static [u8]) -> Self {
        let (head, rest) = url.split_once('@').expect("a URL with a user");
        let (address, path) = rest.split_once('/').expect("a URL with a path");
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(watch::Sender::new(State::Open));
        tokio::spawn(forward(listener, address.to_owned(), Arc::clone(&state), culprit));
        Self { url: format!("{head}@127.0.0.1:{port}/{path}"), state }
    }

    /// Ends all connections and takes no more.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Lets nothing through, and keeps all connections open.
    pub fn freeze(&self) {
        self.state.send_replace(State::Frozen);
    }

    pub fn mend(&self) {
        self.state.send_replace(State::Open);
    }
}

async fn forward(
    listener: TcpListener,
    address: String,
    state: Arc<watch::Sender<State>>,
    culprit: &'static [u8],
) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (mut state, address) = (state.subscribe(), address.clone());
        tokio::spawn(async move {
            if *state.borrow_and_update() == State::Open {
                let Ok(mut server) = TcpStream::connect(&address).await else { return };
                tokio::select! {
                    _ = copy_until(&mut client, &mut server, culprit) => return,
                    _ = state.wait_for(|state| *state != State::Open) => {}
                }
            }
            // Frozen bytes are not used again: some of them may have been lost.
            let _ = state.wait_for(|state| *state != State::Frozen).await;
        });
    }
}

/// Forwards both ways, until one side ends or the server sends the culprit, if there is one.
async fn copy_until(client: &mut TcpStream, server: &mut TcpStream, culprit: &[u8]) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let down = async {
        let (mut buffer, mut seen) = (vec![0; 16 * 1024], Vec::new());
        loop {
            let count = from_server.read(&mut buffer).await?;
            seen.extend_from_slice(&buffer[..count]);
            if count == 0 || memchr::memmem::find(&seen, culprit).is_some_and(|_| !culprit.is_empty()) {
                return Ok(());
            }
            seen.drain(..seen.len().saturating_sub(culprit.len()));
            to_client.write_all(&buffer[..count]).await?;
        }
    };
    tokio::select! {
        ended = down => ended,
        ended = tokio::io::copy(&mut from_client, &mut to_server) => ended.map(|_| ()),
    }
}

/// A port without a listener.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port()
}

/// The URL with another port, and a password that must not be logged.
pub fn elsewhere(url: &str, port: u16) -> String {
    let (head, rest) = url.split_once('@').expect("a URL with a user");
    let (_, path) = rest.split_once('/').expect("a path");
    let (scheme, user) = head.split_once("://").expect("a scheme");
    let user = user.split(':').next().expect("a user");
    format!("{scheme}://{user}:not-to-be-seen@127.0.0.1:{port}/{path}")
}
