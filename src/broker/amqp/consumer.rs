//! Takes deliveries from one queue, through every loss of the connection.
//!
//! Each connection (or cancellation by the broker) begins a new session: its own channel, its own delivery tags. What
//! is in the handler when a session ends goes on, but cannot be settled any more: the broker delivers it again.
//!
//! One task does it all: it takes deliveries, polls the handler for each, and sends acknowledgements, one write at a
//! time. What is settled during a write goes out together with the next.

use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::Channel;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::FieldTable;
use tokio_util::sync::CancellationToken;

use super::acks::{Acks, Settlements};
use super::connection::{self, Link};
use super::properties::{dead_letter, from_amqp, short};
use super::publisher::Publisher;
use super::topology::{self, Known};
use super::{Options, within};
use crate::broker::{Delivery, Error, Handler, Verdict, handling};

/// The pause before a session is tried again; it doubles up to the longest.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// Everything that a consumer needs for as long as it runs.
pub(super) struct Consumer<'a> {
    pub(super) link: &'a Link,
    pub(super) publisher: &'a Publisher,
    pub(super) known: &'a Known,
    pub(super) options: &'a Options,
    pub(super) queue: &'a str,
    pub(super) prefetch: u16,
    pub(super) handler: Handler,
    pub(super) stop: &'a CancellationToken,
}

/// The deliveries that the handler has, of this session and of those before it.
type InHandler<'a> = FuturesUnordered<BoxFuture<'a, Handled>>;

struct Handled {
    session: u64,
    tag: u64,
    /// Acknowledge, or put back.
    ack: bool,
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

    /// `None`: there will be no more.
    async fn next_session<'s>(&'s self, number: u64, in_handler: &mut InHandler<'s>) -> Option<Session<'s>> {
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
        let mut delay = RETRY_DELAY_MIN;
        loop {
            let live = self.link.up().await?;
            match self.try_open_session(number, &live.connection).await {
                Ok(session) => return Some(session),
                Err(error) => tracing::warn!(queue = self.queue, %error, ?delay, "cannot consume"),
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    async fn try_open_session(
        &self,
        number: u64,
        connection: &lapin::Connection,
    ) -> Result<Session<'_>, Error> {
        let timeout = self.options.operation_timeout;
        // The queue may be gone: that is one way to end up here.
        topology::declare(connection, &self.known.around(self.queue), self.options).await?;
        let channel = connection::channel(connection, self.options).await?;
        // For each consumer: the only kind that quorum queues know.
        let qos = channel.basic_qos(self.prefetch.max(1), BasicQosOptions { global: false });
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
        tracing::info!(queue = self.queue, prefetch = self.prefetch, "consuming");
        let acks = Acks::new(usize::from(self.prefetch) / 2);
        let (open, writing) = (0, None);
        Ok(Session { consumer: self, number, channel, deliveries, acks, open, writing })
    }

    async fn handle(&self, session: u64, delivery: lapin::message::Delivery) -> Handled {
        let lapin::message::Delivery {
            delivery_tag: tag,
            exchange,
            routing_key,
            redelivered,
            properties,
            data,
            ..
        } = delivery;
        let given = Delivery {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            properties: from_amqp(&properties),
            body: data.clone(), // kept, in case that it becomes a dead letter
            redelivered,
        };
        let ack = match handling::verdict(self.handler.clone(), given, self.queue).await {
            Verdict::Ack => true,
            Verdict::Requeue => false,
            Verdict::DeadLetter { reason } => {
                tracing::warn!(queue = self.queue, reason, "dead letter");
                self.dead_letter(&properties, &data, &reason).await
            }
        };
        if !ack {
            handling::pause(self.options.requeue_delay, self.stop).await;
        }
        Handled { session, tag, ack }
    }

    /// Sends a copy to the dead letters, so that the reason travels along. Whether it is there, and the original can go.
    async fn dead_letter(&self, properties: &lapin::BasicProperties, body: &[u8], reason: &str) -> bool {
        let around = self.known.around(self.queue);
        match around.queues.into_iter().find_map(|queue| queue.dead_letters) {
            Some(dead_letters) => {
                let copy = dead_letter(properties, self.queue, reason);
                self.publisher.send(&dead_letters, copy, body).await
            }
            None => true, // whoever declared no place for them does not want them
        }
    }
}

/// Why a session ended that was not stopped.
struct Lost(String);

impl<E: std::fmt::Display> From<E> for Lost {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

struct Session<'a> {
    consumer: &'a Consumer<'a>,
    number: u64,
    channel: Channel,
    deliveries: lapin::Consumer,
    acks: Acks,
    /// How many of its deliveries are in the handler.
    open: usize,
    /// The write that is under way.
    writing: Option<BoxFuture<'static, Result<(), Error>>>,
}

impl<'a> Session<'a> {
    /// Returns `Ok` once it is stopped and all is settled.
    async fn run(mut self, in_handler: &mut InHandler<'a>) -> Result<(), Lost> {
        let Consumer { stop, prefetch, .. } = *self.consumer;
        let prefetch = usize::from(prefetch.max(1));
        let mut stopping = false;
        while !stopping || self.open > 0 {
            self.write();
            tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.cancel().await?;
                }
                written = written(&mut self.writing) => {
                    self.writing = None;
                    written?;
                }
                Some(handled) = in_handler.next() => {
                    self.settle(&handled);
                    // Whatever else is done goes out with it.
                    while let Some(Some(handled)) = in_handler.next().now_or_never() {
                        self.settle(&handled);
                    }
                }
                delivery = self.deliveries.next(), if !stopping && in_handler.len() < prefetch => {
                    self.take(delivery, in_handler)?;
                    // What is there already is taken without a way through the scheduler. Nothing is awaited between
                    // taking a delivery and handing it over, so that none can get lost.
                    while in_handler.len() < prefetch {
                        let Some(delivery) = self.deliveries.next().now_or_never() else {
                            break;
                        };
                        self.take(delivery, in_handler)?;
                    }
                }
            }
        }
        if let Some(writing) = self.writing.take() {
            writing.await?;
        }
        send(&self.channel, &self.acks.take(), self.consumer.options.operation_timeout).await?;
        // Only when the channel is closed have the acknowledgements surely arrived.
        connection::close_channel(&self.channel, self.consumer.options).await;
        Ok(())
    }

    fn take(
        &mut self,
        delivery: Option<lapin::Result<lapin::message::Delivery>>,
        in_handler: &InHandler<'a>,
    ) -> Result<(), Lost> {
        let delivery =
            delivery.ok_or_else(|| Lost("the broker cancelled it: is the queue deleted?".to_owned()))??;
        self.acks.delivered(delivery.delivery_tag);
        self.open += 1;
        in_handler.push(self.consumer.handle(self.number, delivery).boxed());
        Ok(())
    }

    fn settle(&mut self, handled: &Handled) {
        if handled.session != self.number {
            return; // its channel is gone, and the broker delivers it again
        }
        self.open -= 1;
        if handled.ack {
            self.acks.ack(handled.tag);
        } else {
            self.acks.requeue(handled.tag);
        }
    }

    /// Begins to send what can be settled, unless a write is under way.
    fn write(&mut self) {
        if self.writing.is_some() {
            return;
        }
        let settlements = self.acks.take();
        if !settlements.is_empty() {
            let (channel, timeout) = (self.channel.clone(), self.consumer.options.operation_timeout);
            self.writing = Some(async move { send(&channel, &settlements, timeout).await }.boxed());
        }
    }

    /// Takes no more, and gives back what came in and was not handed over.
    async fn cancel(&mut self) -> Result<(), Lost> {
        let cancelled =
            self.channel.basic_cancel(self.deliveries.tag(), BasicCancelOptions { nowait: false });
        within(self.consumer.options.operation_timeout, "cancelling a consumer", cancelled).await?;
        while let Some(Some(Ok(delivery))) = self.deliveries.next().now_or_never() {
            self.acks.delivered(delivery.delivery_tag);
            self.acks.requeue(delivery.delivery_tag);
        }
        Ok(())
    }
}

/// Waits for the write that is under way; for ever if there is none.
async fn written(writing: &mut Option<BoxFuture<'static, Result<(), Error>>>) -> Result<(), Error> {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}

/// Sends settlements and waits until they are written.
async fn send(channel: &Channel, settlements: &Settlements, timeout: Duration) -> Result<(), Error> {
    let Settlements { requeue, ack, ack_up_to } = settlements;
    let singly = async {
        let put_back =
            |tag: &u64| channel.basic_nack(*tag, BasicNackOptions { multiple: false, requeue: true });
        try_join_all(requeue.iter().map(put_back)).await?;
        try_join_all(ack.iter().map(|tag| channel.basic_ack(*tag, BasicAckOptions { multiple: false })))
            .await?;
        // After the others, because it must not cover what is to be put back.
        match ack_up_to {
            Some(tag) => channel.basic_ack(*tag, BasicAckOptions { multiple: true }).await,
            None => Ok(()),
        }
    };
    within(timeout, "settling deliveries", singly).await
}
