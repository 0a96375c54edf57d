//! The consumers of one session, all on its channel.
//!
//! The prefetch of a consumer of a quorum queue cannot be changed: it must end, and another one begin. RabbitMQ requeues
//! messages on the way to a consumer that ends, which counts as a delivery. So one consumer stays as long as the session, with
//! as many messages as fit whatever their size, and a second one exists while more fit.

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::BasicCancelOptions;

use crate::amqp::calls::within;
use crate::amqp::consumer::Consumer;

/// Why a session ended without being stopped.
pub(super) struct Lost(pub(super) String);

impl<E: std::fmt::Display> From<E> for Lost {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

pub(super) struct Subscriptions {
    lasting: lapin::Consumer,
    extra: Option<lapin::Consumer>,
}

impl Subscriptions {
    pub(super) fn new(lasting: lapin::Consumer) -> Self {
        Self { lasting, extra: None }
    }

    /// The next delivery. Deliveries are not in the order of their tags.
    pub(super) async fn next(&mut self) -> Option<lapin::Result<Delivery>> {
        match &mut self.extra {
            None => self.lasting.next().await,
            // Chosen at random if both have one, so that neither waits until the other has none.
            Some(extra) => tokio::select! {
                delivery = self.lasting.next() => delivery,
                delivery = extra.next() => delivery,
            },
        }
    }

    /// Sets how many messages are sent ahead in addition to those of the lasting consumer. Returns deliveries that a consumer
    /// had received when it ended.
    pub(super) async fn set_extra(
        &mut self,
        prefetch: u16,
        consumer: &Consumer<'_>,
        channel: &lapin::Channel,
    ) -> Result<Vec<Delivery>, Lost> {
        let had = match self.extra.take() {
            Some(extra) => end(extra, consumer, channel).await?,
            None => Vec::new(),
        };
        if prefetch > 0 {
            self.extra = Some(consumer.consume(channel, prefetch).await?);
        }
        Ok(had)
    }

    /// Ends all consumers. Returns the deliveries that they had received.
    pub(super) async fn end(
        &mut self,
        consumer: &Consumer<'_>,
        channel: &lapin::Channel,
    ) -> Result<Vec<Delivery>, Lost> {
        let mut had = self.set_extra(0, consumer, channel).await?;
        had.extend(end(self.lasting.clone(), consumer, channel).await?);
        Ok(had)
    }
}

async fn end(
    mut ending: lapin::Consumer,
    consumer: &Consumer<'_>,
    channel: &lapin::Channel,
) -> Result<Vec<Delivery>, Lost> {
    let cancelled = channel.basic_cancel(ending.tag(), BasicCancelOptions { nowait: false });
    within(consumer.options.operation_timeout, "cancelling a consumer", cancelled).await?;
    let mut had = Vec::new();
    while let Some(Some(Ok(delivery))) = ending.next().now_or_never() {
        had.push(delivery);
    }
    Ok(had)
}
