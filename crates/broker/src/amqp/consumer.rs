//! Consumes one queue, through every loss of the connection.
//!
//! Each connection (or cancellation by the broker) begins a new session: its own channel, its own delivery tags. A delivery
//! that is in the handler when a session ends continues, but cannot be settled any more: the broker delivers it again.

mod acks;
mod delivery;
mod prefetch;
mod session;
mod subscriptions;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio_util::sync::CancellationToken;

use crate::amqp::calls::{self, within};
use crate::amqp::connection::Link;
use crate::amqp::consumer::prefetch::Prefetch;
use crate::amqp::consumer::session::{InHandler, Session};
use crate::amqp::consumer::subscriptions::Lost;
use crate::amqp::options::Options;
use crate::amqp::properties::short;
use crate::amqp::publisher::Publisher;
use crate::amqp::topology;
use crate::amqp::topology::known::Known;
use snorri_ports::broker::{Error, Handler};

/// The pause before a session is tried again; it doubles up to the longest.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// The parts of a consumer.
pub(super) struct Consumer<'a> {
    pub(super) link: &'a Link,
    pub(super) interrupted: &'a Interrupted,
    pub(super) publisher: &'a Publisher,
    pub(super) known: &'a Known,
    pub(super) options: &'a Options,
    pub(super) queue: &'a str,
    /// The queue of messages in probation.
    pub(super) probation: &'a str,
    pub(super) prefetch: u16,
    pub(super) handler: Handler,
    pub(super) stop: &'a CancellationToken,
}

/// The queues of consumers that have no session right now. A queue without a leader shows up here, and nowhere else: consuming
/// from it just takes forever.
#[derive(Debug, Default)]
pub(super) struct Interrupted(Mutex<Vec<String>>);

impl Interrupted {
    pub(super) fn first(&self) -> Option<String> {
        self.queues().first().cloned()
    }

    fn begin<'a>(&'a self, queue: &'a str) -> Interruption<'a> {
        self.queues().push(queue.to_owned());
        Interruption { interrupted: self, queue }
    }

    fn queues(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Interruption<'a> {
    interrupted: &'a Interrupted,
    queue: &'a str,
}

impl Drop for Interruption<'_> {
    fn drop(&mut self) {
        let mut queues = self.interrupted.queues();
        if let Some(index) = queues.iter().position(|queue| queue == self.queue) {
            queues.swap_remove(index);
        }
    }
}

impl Consumer<'_> {
    /// Returns once `stop` is cancelled and nothing is in the handler any more, or when the broker is closed.
    pub(super) async fn run(&self) {
        let mut in_handler = InHandler::new();
        let mut number = 0;
        loop {
            number += 1;
            let Some(session) = self.next_session(number, &mut in_handler).await else {
                break;
            };
            match session.run(&mut in_handler).await {
                Ok(()) => return,
                Err(Lost(reason)) => {
                    tracing::warn!(queue = self.queue, reason, "the consumer was interrupted");
                }
            }
        }
        while in_handler.next().await.is_some() {}
    }

    /// `None`: the consumer is stopped or the broker is closed.
    async fn next_session<'s>(&'s self, number: u64, in_handler: &mut InHandler<'s>) -> Option<Session<'s>> {
        let _interruption = self.interrupted.begin(self.queue);
        let mut opening = std::pin::pin!(self.open_session(number));
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                session = &mut opening => return session,
                Some(_) = in_handler.next() => {} // of a session that is lost
            }
        }
    }

    async fn open_session(&self, number: u64) -> Option<Session<'_>> {
        let (mut delay, mut is_missing) = (RETRY_DELAY_MIN, false);
        loop {
            let live = self.link.up().await?;
            match self.try_open_session(number, &live.connection, is_missing).await {
                Ok(session) => return Some(session),
                Err(error) => tracing::warn!(queue = self.queue, %error, ?delay, "cannot consume"),
            }
            // The queue may be gone.
            is_missing = true;
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    async fn try_open_session(
        &self,
        number: u64,
        connection: &lapin::Connection,
        is_missing: bool,
    ) -> Result<Session<'_>, Error> {
        if is_missing {
            let around = self.known.around(self.queue, self.options);
            topology::restore(connection, self.known, &around, self.options).await?;
        }
        let channel = calls::open_channel(connection, self.options).await?;
        let prefetch = Prefetch::new(self.prefetch);
        let deliveries = self.consume(&channel, prefetch.least()).await?;
        tracing::info!(queue = self.queue, "consuming");
        Ok(Session::new(self, number, channel, deliveries, prefetch))
    }

    /// Begins to consume on a channel.
    pub(super) async fn consume(
        &self,
        channel: &lapin::Channel,
        prefetch: u16,
    ) -> Result<lapin::Consumer, Error> {
        let timeout = self.options.operation_timeout;
        // For each consumer: the only kind that quorum queues know.
        let qos = channel.basic_qos(prefetch, BasicQosOptions { global: false });
        within(timeout, "setting the prefetch", qos).await?;
        let flags = BasicConsumeOptions {
            no_local: false,  // RabbitMQ does not know it
            no_ack: false,    // a message is settled once it is handled
            exclusive: false, // other replicas consume too
            nowait: false,    // we want to hear of a refusal
        };
        let queue = short(self.queue).map_err(|error| Error::Refused(error.to_string()))?;
        // Without a tag the broker makes one up that is unique.
        let consuming = channel.basic_consume(queue, "".into(), flags, FieldTable::default());
        let deliveries = within(timeout, "consuming", consuming).await?;
        tracing::debug!(queue = self.queue, prefetch, "consuming");
        Ok(deliveries)
    }
}
