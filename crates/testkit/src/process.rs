//! A process from the view of its ports: it makes calls, loses connections, and dies.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use snorri_ports::broker::{Delivery, Publication, Published, Verdict};
use snorri_ports::store::{Batch, OutboxRow};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{Call, Delays, Fault, Faults, Port};

/// Sees what really happened, whatever the process observes. All methods are called in the order of events.
pub trait Observer: Debug + Send + Sync + 'static {
    /// A call was made, with this fault.
    fn called(&self, _call: &Call<'_>, _fault: Fault) {}

    /// A batch was committed.
    fn committed(&self, _process: &str, _batch: &Batch) {}

    /// Messages were put into other rows of the outbox.
    fn given_back(&self, _rows: &[OutboxRow]) {}

    /// The process decided to publish these.
    fn publishing(&self, _process: &str, _batch: &[Publication]) {}

    /// The broker took these, or did not.
    fn published(&self, _process: &str, _batch: &[Publication], _results: &[Published]) {}

    /// A handler has handled a delivery. The broker has no verdict yet.
    fn handled(&self, _process: &str, _queue: &str, _delivery: &Delivery, _verdict: &Verdict) {}
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// One process. Its ports share it.
#[derive(Debug)]
pub struct Process {
    name: String,
    faults: Arc<dyn Faults>,
    observer: Arc<dyn Observer>,
    dead: CancellationToken,
    closed: CancellationToken,
    inner: Mutex<Inner>,
    lost: Notify,
    available: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Inner {
    calls: BTreeMap<&'static str, u64>,
    /// Until when a port has no connection.
    disconnected: BTreeMap<Port, Instant>,
    /// How often the connection to the broker was lost.
    losses: u64,
}

impl Process {
    pub fn new(name: impl Into<String>, faults: Arc<dyn Faults>, observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            faults,
            observer,
            dead: CancellationToken::new(),
            closed: CancellationToken::new(),
            inner: Mutex::default(),
            lost: Notify::new(),
            available: watch::Sender::new(true),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Dies: no call of its ports is done or answered from now on, and its unsettled deliveries go back to their queues.
    pub fn die(&self) {
        self.dead.cancel();
    }

    pub fn is_dead(&self) -> bool {
        self.dead.is_cancelled()
    }

    /// Waits until the process has died.
    pub async fn died(&self) {
        self.dead.cancelled().await;
    }

    /// Has no connection to `port` for `lasts`.
    pub fn disconnect(self: &Arc<Self>, port: Port, lasts: Duration) {
        let mut inner = self.inner();
        inner.disconnected.insert(port, Instant::now() + lasts);
        if port == Port::Broker {
            inner.losses += 1;
            drop(inner);
            self.lost.notify_waiters();
            self.available.send_replace(false);
            let process = Arc::clone(self);
            tokio::spawn(async move {
                process.reconnected().await;
                process.available.send_replace(!process.closed.is_cancelled());
            });
        }
    }

    /// Whether the broker can be reached.
    pub(crate) fn availability(&self) -> watch::Receiver<bool> {
        self.available.subscribe()
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// How often the process connected to the broker.
    pub(crate) fn connections(&self) -> u64 {
        self.inner().losses + 1
    }

    /// Waits until the connection to the broker is lost.
    pub(crate) async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Waits until the broker can be reached.
    pub(crate) async fn reconnected(&self) {
        loop {
            let until = self.inner().disconnected.get(&Port::Broker).copied();
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    pub(crate) fn close(&self) {
        self.closed.cancel();
        self.available.send_replace(false);
    }

    /// Waits until the process has closed its connections to the broker.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Makes a call: `act`, unless a fault prevents it. `failed` makes the error of a failed call.
    pub(crate) async fn call<T, E>(
        self: &Arc<Self>,
        port: Port,
        method: &'static str,
        act: impl Future<Output = Result<T, E>> + Send,
        failed: impl Fn(Fault) -> E + Send,
    ) -> Result<T, E> {
        tokio::select! {
            biased;
            () = self.died() => std::future::pending().await,
            result = self.perform(port, method, act, failed) => result,
        }
    }

    async fn perform<T, E>(
        self: &Arc<Self>,
        port: Port,
        method: &'static str,
        act: impl Future<Output = Result<T, E>> + Send,
        failed: impl Fn(Fault) -> E + Send,
    ) -> Result<T, E> {
        let (fault, Delays { before, after }) = self.draw(port, method);
        if let Fault::Hang(lasts) = fault {
            sleep(lasts).await;
        } else {
            pause(before).await;
        }
        match fault {
            Fault::None => {
                let done = act.await;
                pause(after).await;
                done
            }
            Fault::Fail | Fault::Hang(_) | Fault::Refuse => Err(failed(fault)),
            Fault::FailAfter => {
                act.await?;
                pause(after).await;
                Err(failed(fault))
            }
            Fault::LoseConnection(lasts) => {
                self.disconnect(port, lasts);
                Err(failed(fault))
            }
            Fault::Die => {
                self.die();
                std::future::pending().await
            }
            Fault::DieAfter => {
                // The result is dropped.
                let _ = act.await;
                self.die();
                std::future::pending().await
            }
            Fault::Panic => panic!("planned: {} panics in {method}", self.name),
        }
    }

    /// Draws the fault of the next call of a method.
    fn draw(&self, port: Port, method: &'static str) -> (Fault, Delays) {
        let (number, is_connected) = {
            let mut inner = self.inner();
            let number = inner.calls.entry(method).or_default();
            *number += 1;
            let number = *number;
            (number, inner.disconnected.get(&port).is_none_or(|until| *until <= Instant::now()))
        };
        let call = Call { process: &self.name, port, method, number };
        let fault = if is_connected { self.faults.fault(&call) } else { Fault::Fail };
        self.observer.called(&call, fault);
        (fault, self.faults.delays(&call))
    }

    /// No change in here panics halfway.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pause(duration: Duration) {
    if !duration.is_zero() {
        sleep(duration).await;
    }
}
