//! One consumer on one channel, from `basic.consume` until the channel is lost or the consumer is stopped.
//!
//! One task does everything: it takes deliveries, polls the handler for each, and sends acknowledgements, one write at a time.
//! Deliveries that are settled during a write are acknowledged with the next.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::amqp::calls::{self, within};
use crate::amqp::consumer::Consumer;
use crate::amqp::consumer::acks::{Acks, Settlements};
use crate::amqp::consumer::prefetch::Prefetch;
use crate::amqp::consumer::subscriptions::{Lost, Subscriptions};
use snorri_ports::broker::Error;

/// Approximate bytes of bodies that the handler has at a time. Its data takes several times as much.
const HANDLER_BYTES: usize = 8 * 1024 * 1024;

/// The deliveries in the handler, of this session and of those before it.
pub(super) type InHandler<'a> = FuturesUnordered<BoxFuture<'a, Handled>>;

pub(super) struct Handled {
    pub(super) session: u64,
    pub(super) tag: u64,
    /// Acknowledge, or requeue.
    pub(super) ack: bool,
    /// The size of its body.
    pub(super) bytes: usize,
}

pub(super) struct Session<'a> {
    consumer: &'a Consumer<'a>,
    number: u64,
    channel: Channel,
    deliveries: Subscriptions,
    prefetch: Prefetch,
    /// Deliveries that were received but not handed over, from before a change of the prefetch.
    backlog: VecDeque<Delivery>,
    acks: Acks,
    /// How many of its deliveries are in the handler, and the bytes of their bodies.
    open: usize,
    open_bytes: usize,
    /// The write in progress.
    writing: Option<BoxFuture<'static, Result<(), Error>>>,
    /// Cancelled when the session ends or is to be stopped: nothing is retried then.
    over: CancellationToken,
    _over: DropGuard,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        consumer: &'a Consumer<'a>,
        number: u64,
        channel: Channel,
        deliveries: lapin::Consumer,
        prefetch: Prefetch,
    ) -> Self {
        let acks = Acks::new(usize::from(prefetch.least()) / 2);
        let over = consumer.stop.child_token();
        let _over = over.clone().drop_guard();
        Self {
            consumer,
            number,
            channel,
            deliveries: Subscriptions::new(deliveries),
            prefetch,
            backlog: VecDeque::new(),
            acks,
            open: 0,
            open_bytes: 0,
            writing: None,
            over,
            _over,
        }
    }

    /// Returns `Ok` once it is stopped and all deliveries are settled.
    pub(super) async fn run(mut self, in_handler: &mut InHandler<'a>) -> Result<(), Lost> {
        let stop = self.consumer.stop;
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
                    // Other handled deliveries are acknowledged with it.
                    while let Some(Some(handled)) = in_handler.next().now_or_never() {
                        self.settle(&handled);
                    }
                }
                delivery = self.deliveries.next(), if !stopping && self.has_room(in_handler) => {
                    let delivery = self.register(delivery)?;
                    self.hand_over(delivery, in_handler);
                    // Deliveries that are available are taken without a way through the scheduler. Nothing is awaited between
                    // taking a delivery and handing it over, so that none can get lost.
                    while self.has_room(in_handler) {
                        let Some(delivery) = self.deliveries.next().now_or_never() else {
                            break;
                        };
                        let delivery = self.register(delivery)?;
                        self.hand_over(delivery, in_handler);
                    }
                }
            }
            if !stopping {
                self.adapt().await?;
                self.hand_over_backlog(in_handler);
            }
        }
        if let Some(writing) = self.writing.take() {
            writing.await?;
        }
        send(&self.channel, &self.acks.take(), self.consumer.options.operation_timeout).await?;
        // Only when the channel is closed have the acknowledgements certainly arrived.
        calls::close_channel(&self.channel, self.consumer.options).await;
        Ok(())
    }

    /// Whether the handler may get another delivery. No delivery is too large to be handed over alone.
    fn has_room(&self, in_handler: &InHandler<'a>) -> bool {
        in_handler.len() < usize::from(self.consumer.prefetch.max(1)) && self.open_bytes < HANDLER_BYTES
    }

    /// Records a received delivery.
    fn register(&mut self, delivery: Option<lapin::Result<Delivery>>) -> Result<Delivery, Lost> {
        let delivery =
            delivery.ok_or_else(|| Lost("the broker cancelled it: is the queue deleted?".to_owned()))??;
        self.note(&delivery);
        Ok(delivery)
    }

    fn note(&mut self, delivery: &Delivery) {
        self.acks.delivered(delivery.delivery_tag);
        self.prefetch.observe(delivery.data.len());
    }

    fn hand_over(&mut self, delivery: Delivery, in_handler: &InHandler<'a>) {
        self.open += 1;
        self.open_bytes += delivery.data.len();
        in_handler.push(self.consumer.handle(self.number, delivery, self.over.clone()).boxed());
    }

    fn hand_over_backlog(&mut self, in_handler: &InHandler<'a>) {
        while self.has_room(in_handler)
            && let Some(delivery) = self.backlog.pop_front()
        {
            self.hand_over(delivery, in_handler);
        }
    }

    /// Adapts the number of messages that are sent ahead to their size.
    async fn adapt(&mut self) -> Result<(), Lost> {
        if let Some(prefetch) = self.prefetch.change() {
            let extra = prefetch - self.prefetch.least();
            let had = self.deliveries.set_extra(extra, self.consumer, &self.channel).await?;
            self.keep(had);
            self.acks.set_most_held_up(usize::from(prefetch) / 2);
        }
        Ok(())
    }

    fn keep(&mut self, deliveries: Vec<Delivery>) {
        deliveries.iter().for_each(|delivery| self.note(delivery));
        self.backlog.extend(deliveries);
    }

    fn settle(&mut self, handled: &Handled) {
        if handled.session != self.number {
            return; // its channel is gone, and the broker delivers it again
        }
        self.open -= 1;
        self.open_bytes -= handled.bytes;
        if handled.ack {
            self.acks.ack(handled.tag);
        } else {
            self.acks.requeue(handled.tag);
        }
    }

    /// Begins to send the possible settlements, unless a write is in progress.
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

    /// Stops consuming, and requeues deliveries that were not handed over.
    async fn cancel(&mut self) -> Result<(), Lost> {
        let had = self.deliveries.end(self.consumer, &self.channel).await?;
        self.keep(had);
        for delivery in self.backlog.drain(..) {
            self.acks.requeue(delivery.delivery_tag);
        }
        Ok(())
    }
}

/// Waits for the write in progress; without one, it never returns.
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
        // After the others, because it must not cover a tag that is to be requeued.
        match ack_up_to {
            Some(tag) => channel.basic_ack(*tag, BasicAckOptions { multiple: true }).await,
            None => Ok(()),
        }
    };
    within(timeout, "settling deliveries", singly).await
}
