//! Limits of connections: their number, and how long one may be silent.
//!
//! The number of connections is bounded. When the bound is reached, a new connection closes the one that has been idle the
//! longest: it is silent, or has not sent its request yet. So neither silent nor slow clients keep others out.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::Layer;

/// The number of bytes that identify the version of HTTP. Every request has at least as many.
const OPENING: usize = 24;

/// All connections. Clones share them.
#[derive(Debug, Clone)]
pub struct Connections {
    table: Arc<Mutex<Table>>,
    max: usize,
    first_bytes_timeout: Duration,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: usize,
    /// The idle connections, the longest idle first.
    idle: BTreeMap<u64, CancellationToken>,
}

/// The slot of a connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Slot(Arc<Place>);

#[derive(Debug)]
struct Place {
    connections: Connections,
    closed: CancellationToken,
    state: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    /// Requests in progress.
    requests: usize,
    /// The key in [`Table::idle`], while there are no requests.
    idle: Option<u64>,
}

/// A complete request in progress. Its connection is not closed for another one.
#[derive(Debug)]
pub struct Working(Slot);

impl Connections {
    /// At most `max` connections, each with `first_bytes_timeout` to send its first bytes.
    pub fn new(max: usize, first_bytes_timeout: Duration) -> Self {
        Self { table: Arc::default(), max, first_bytes_timeout }
    }

    /// Takes a slot. `None`: all connections are busy.
    fn admit(&self) -> Option<Slot> {
        let mut table = self.lock();
        if table.open >= self.max {
            let (_, longest_idle) = table.idle.pop_first()?;
            longest_idle.cancel();
        }
        table.open += 1;
        let closed = CancellationToken::new();
        let idle = Some(table.rest(closed.clone()));
        drop(table);
        let state = Mutex::new(Work { requests: 0, idle });
        Some(Slot(Arc::new(Place { connections: self.clone(), closed, state })))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn rest(&mut self, closed: CancellationToken) -> u64 {
        self.next += 1;
        self.idle.insert(self.next, closed);
        self.next
    }
}

impl Slot {
    /// Marks the connection as busy until the returned value is dropped.
    pub fn work(&self) -> Working {
        let mut state = self.state();
        state.requests += 1;
        if let Some(idle) = state.idle.take() {
            self.0.connections.lock().idle.remove(&idle);
        }
        Working(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, Work> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests = state.requests.saturating_sub(1);
        if state.requests == 0 {
            state.idle = Some(self.0.0.connections.lock().rest(self.0.0.closed.clone()));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let idle = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).idle;
        let mut table = self.connections.lock();
        table.open = table.open.saturating_sub(1);
        if let Some(idle) = idle {
            table.idle.remove(&idle);
        }
    }
}

/// Accepts the connections of the inner acceptor, as far as there are slots.
#[derive(Debug, Clone)]
pub struct Bounded<A> {
    pub connections: Connections,
    pub inner: A,
}

impl<A, I, S> Accept<I, S> for Bounded<A>
where
    A: Accept<I, S> + Clone + Send + 'static,
    A::Future: Send,
    A::Stream: Send,
    I: Send + 'static,
    S: Send + 'static,
{
    type Stream = Watched<A::Stream>;
    type Service = AddExtension<A::Service, Slot>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let Self { connections, inner } = self.clone();
        Box::pin(async move {
            let slot = connections.admit().ok_or_else(|| closed("there are too many connections"))?;
            // Boxed because it is pinned by `select!`.
            let accepted = Box::pin(inner.accept(stream, service));
            let (stream, service) = tokio::select! {
                accepted = accepted => accepted?,
                () = slot.0.closed.cancelled() => return Err(closed("another connection took its place")),
            };
            let watched = Watched::new(stream, &slot, connections.first_bytes_timeout);
            Ok((watched, Extension(slot).layer(service)))
        })
    }
}

fn closed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, why)
}

/// A connection that ends if its first bytes do not arrive in time, or when another one takes its slot.
#[derive(Debug)]
pub struct Watched<I> {
    stream: I,
    /// Keeps the slot.
    _slot: Slot,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    opening: Option<Opening>,
}

#[derive(Debug)]
struct Opening {
    until: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<I> Watched<I> {
    fn new(stream: I, slot: &Slot, first_bytes_timeout: Duration) -> Self {
        let opening = Opening { until: Box::pin(sleep(first_bytes_timeout)), bytes: 0 };
        let closed = Box::pin(slot.0.closed.clone().cancelled_owned());
        Self { stream, _slot: slot.clone(), closed, opening: Some(opening) }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(closed("another connection took its place")));
        }
        if let Some(opening) = &mut self.opening
            && opening.until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Some(opening) = &mut self.opening {
            opening.bytes += buffer.filled().len() - before;
            if opening.bytes >= OPENING {
                self.opening = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_that_has_been_idle_for_the_longest_makes_room() {
        let connections = Connections::new(3, Duration::from_secs(1));
        let slots: Vec<_> = (0..3).map(|_| connections.admit().expect("a place")).collect();
        let working = slots[0].work();
        let fourth = connections.admit().expect("the place of the second");
        let is_closed = |slot: &Slot| slot.0.closed.is_cancelled();
        assert_eq!(slots.iter().map(is_closed).collect::<Vec<_>>(), [false, true, false]);

        let both = (slots[2].work(), fourth.work());
        assert!(connections.admit().is_none(), "all are worked on");
        drop(working);
        connections.admit().expect("the place of the first");
        assert!(is_closed(&slots[0]));
        drop(both);
        drop(slots);
        drop(fourth);
        let table = connections.lock();
        assert_eq!((table.open, table.idle.len()), (0, 0));
    }
}
