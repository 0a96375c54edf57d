//! A broker that can be taken away: connections go through here, and are cut while it is away.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to another port of this machine, unless it is cut.
#[derive(Debug)]
pub struct Proxy {
    /// The URL to connect to, in the place of the broker's own.
    pub url: String,
    open: Arc<watch::Sender<bool>>,
}

impl Proxy {
    pub async fn to(amqp_url: &str) -> Self {
        Self::choking_on(amqp_url, b"").await
    }

    /// Ends each connection on which the broker sends these bytes.
    pub async fn choking_on(amqp_url: &str, culprit: &'static [u8]) -> Self {
        let (head, rest) = amqp_url.split_once('@').expect("a URL with a user");
        let (address, vhost) = rest.split_once('/').expect("a URL with a virtual host");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let open = Arc::new(watch::Sender::new(true));
        tokio::spawn(forward(listener, address.to_owned(), Arc::clone(&open), culprit));
        Self { url: format!("{head}@127.0.0.1:{port}/{vhost}"), open }
    }

    /// Ends all connections and takes no more.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn forward(
    listener: TcpListener,
    address: String,
    open: Arc<watch::Sender<bool>>,
    culprit: &'static [u8],
) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (mut is_open, address) = (open.subscribe(), address.clone());
        tokio::spawn(async move {
            if !*is_open.borrow_and_update() {
                return;
            }
            let Ok(mut server) = TcpStream::connect(&address).await else { return };
            tokio::select! {
                _ = copy_until(&mut client, &mut server, culprit) => {}
                _ = is_open.wait_for(|open| !open) => {}
            }
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
