//! The connection as the AMQP client sees it: the broker's bytes are repaired on the way ([`Frames`]).

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::{Stream, TryFutureExt};
use lapin::tcp::AsyncTcpStream;

use crate::amqp::repair::frames::Frames;

/// Bytes that are read at once.
const READ_BYTES: usize = 32 * 1024;

/// A connection of tokio's, perhaps with TLS.
pub(in crate::amqp) type Connected = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// A connection whose incoming frames are repaired.
pub(in crate::amqp) struct Repaired {
    inner: Connected,
    frames: Frames,
    buffer: Box<[u8]>,
}

impl Repaired {
    /// Bodies of more than `max_body` bytes are cut.
    pub(in crate::amqp) fn new(inner: Connected, max_body: Option<usize>) -> Self {
        Self { inner, frames: Frames::with_max_body(max_body), buffer: vec![0; READ_BYTES].into() }
    }
}

impl AsyncRead for Repaired {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            let count = this.frames.take(buffer);
            if count > 0 || buffer.is_empty() {
                return Poll::Ready(Ok(count));
            }
            let count = ready!(Pin::new(&mut this.inner).poll_read(context, &mut this.buffer))?;
            if count == 0 {
                return Poll::Ready(Ok(0));
            }
            let pushed = this.frames.push(&this.buffer[..count]);
            pushed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

impl AsyncWrite for Repaired {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context)
    }
}

/// tokio, as lapin uses it, but with connections that are [`Repaired`].
pub(in crate::amqp) type Kit = RuntimeParts<Tokio, RepairingReactor>;

pub(in crate::amqp) fn runtime() -> Runtime<Kit> {
    Runtime::new(RuntimeParts::new(Tokio::current(), RepairingReactor(Tokio::current())))
}

#[derive(Debug, Clone)]
pub(in crate::amqp) struct RepairingReactor(Tokio);

impl Reactor for RepairingReactor {
    type TcpStream = Repaired;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        self.0.tcp_connect_addr(address).map_ok(|socket| Repaired::new(AsyncTcpStream::Plain(socket), None))
    }
}
