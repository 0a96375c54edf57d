//! RabbitMQ through bare lapin: declares queues as Snorri does, and pumps messages.
//!
//! A [`Pump`] takes all available deliveries, publishes the messages that follow in one pipelined window, and acknowledges the
//! window at once when all of it is confirmed. Meanwhile the next windows are sent, up to a bound; at the bound, deliveries
//! collect. Participant, load and floor are all one or two pumps, so none of them is tuned better than the floor.

use anyhow::{Context, bail, ensure};
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};
use snorri_ports::broker::{HeaderValue, Properties, Publication};

use crate::wire::Incoming;

/// Most deliveries that are answered together.
const WINDOW_MESSAGES: usize = 512;
/// Most windows that wait for their confirms at once. Of 1, 2, 4 and 8, this was best for the floor, or within its noise.
const WINDOWS: usize = 4;
const PERSISTENT: u8 = 2;
const MANDATORY: BasicPublishOptions = BasicPublishOptions { mandatory: true, immediate: false };

pub async fn connect(url: &str) -> anyhow::Result<Connection> {
    Connection::connect(url, ConnectionProperties::default()).await.context("RabbitMQ does not let us in")
}

pub async fn declare_exchange(connection: &Connection, exchange: &str) -> anyhow::Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let channel = connection.create_channel().await?;
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    Ok(channel.close(200, "OK".into()).await?)
}

/// A quorum queue with the arguments of Snorri's own.
pub async fn declare_queue(
    connection: &Connection,
    queue: &str,
    dead_letters: Option<&str>,
) -> anyhow::Result<()> {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(100));
    if let Some(dead_letters) = dead_letters {
        arguments.insert("x-dead-letter-exchange".into(), text(""));
        arguments.insert("x-dead-letter-routing-key".into(), text(dead_letters));
        arguments.insert("x-overflow".into(), text("reject-publish"));
    }
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let channel = connection.create_channel().await?;
    channel.queue_declare(queue.into(), durable, arguments).await?;
    Ok(channel.close(200, "OK".into()).await?)
}

pub async fn bind(connection: &Connection, queue: &str, exchange: &str, keys: &[&str]) -> anyhow::Result<()> {
    let channel = connection.create_channel().await?;
    for key in keys {
        let flags = QueueBindOptions::default();
        channel
            .queue_bind(queue.into(), exchange.into(), (*key).into(), flags, FieldTable::default())
            .await?;
    }
    Ok(channel.close(200, "OK".into()).await?)
}

/// Deletes queues that may exist, and returns how many messages were in each.
pub async fn delete_queues(connection: &Connection, queues: &[&str]) -> anyhow::Result<Vec<u32>> {
    let channel = connection.create_channel().await?;
    let mut left = Vec::new();
    for queue in queues {
        left.push(channel.queue_delete((*queue).into(), QueueDeleteOptions::default()).await?);
    }
    channel.close(200, "OK".into()).await?;
    Ok(left)
}

/// Deletes an exchange that may exist.
pub async fn delete_exchange(connection: &Connection, exchange: &str) -> anyhow::Result<()> {
    let channel = connection.create_channel().await?;
    channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await?;
    Ok(channel.close(200, "OK".into()).await?)
}

/// Publishes all of `messages`, a window at a time, and waits for the confirms.
pub async fn publish_all(
    connection: &Connection,
    messages: impl Iterator<Item = Publication>,
) -> anyhow::Result<()> {
    let channel = confirming(connection).await?;
    let mut messages = messages.peekable();
    while messages.peek().is_some() {
        send(&channel, messages.by_ref().take(WINDOW_MESSAGES), None)?.await?;
    }
    Ok(())
}

/// Takes from one queue, and publishes what follows.
pub struct Pump {
    deliveries: lapin::Consumer,
    consuming: Channel,
    publishing: Channel,
}

/// The publications of one window; resolves to the delivery tag up to which to acknowledge.
type Window = BoxFuture<'static, anyhow::Result<Option<u64>>>;

impl Pump {
    pub async fn open(
        consuming: &Connection,
        publishing: &Connection,
        queue: &str,
        prefetch: u16,
    ) -> anyhow::Result<Self> {
        let publishing = confirming(publishing).await?;
        let consuming = consuming.create_channel().await?;
        consuming.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let flags = BasicConsumeOptions::default();
        let deliveries =
            consuming.basic_consume(queue.into(), "".into(), flags, FieldTable::default()).await?;
        Ok(Self { deliveries, consuming, publishing })
    }

    /// Publishes `first`, and from then on the answer to each delivery. Runs until something fails.
    pub async fn run(
        mut self,
        first: Vec<Publication>,
        mut answer: impl FnMut(Incoming<'_>) -> anyhow::Result<Option<Publication>>,
    ) -> anyhow::Result<()> {
        let mut windows = FuturesOrdered::new();
        windows.push_back(send(&self.publishing, first, None)?);
        loop {
            tokio::select! {
                biased;
                Some(tag) = windows.next() => {
                    if let Some(tag) = tag? {
                        self.ack_up_to(tag);
                    }
                }
                delivery = self.deliveries.next(), if windows.len() < WINDOWS => {
                    windows.push_back(self.take(delivery, &mut answer)?);
                }
            }
        }
    }

    /// Answers this delivery and all others that are available. Awaits nothing, so that none can get lost.
    fn take(
        &mut self,
        mut next: Option<lapin::Result<lapin::message::Delivery>>,
        answer: &mut impl FnMut(Incoming<'_>) -> anyhow::Result<Option<Publication>>,
    ) -> anyhow::Result<Window> {
        let (mut answers, mut taken) = (Vec::new(), 0);
        loop {
            let delivery = next.context("the broker cancelled the consumer")??;
            taken += 1;
            answers.extend(answer(Incoming::from(&delivery))?);
            let more = if taken < WINDOW_MESSAGES { self.deliveries.next().now_or_never() } else { None };
            match more {
                Some(delivery) => next = delivery,
                None => return send(&self.publishing, answers, Some(delivery.delivery_tag)),
            }
        }
    }

    /// Only queued: waiting for the write is not worth it, and a lost channel ends the deliveries.
    fn ack_up_to(&self, tag: u64) {
        let acked = self.consuming.basic_ack(tag, BasicAckOptions { multiple: true });
        drop(Box::pin(acked).now_or_never());
    }
}

async fn confirming(connection: &Connection) -> anyhow::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Queues all of these for the connection to write, so that they share writes, and returns a future for each confirm.
fn send(
    channel: &Channel,
    messages: impl IntoIterator<Item = Publication>,
    tag: Option<u64>,
) -> anyhow::Result<Window> {
    type Sent = BoxFuture<'static, lapin::Result<Confirmation>>;
    let mut window: Vec<MaybeDone<Sent>> = Vec::new();
    for message in messages {
        let (channel, properties) = (channel.clone(), to_amqp(&message.properties)?);
        let Publication { exchange, routing_key, body, .. } = message;
        let sent = async move {
            let (exchange, key) = (ShortString::from(exchange), ShortString::from(routing_key));
            channel.basic_publish(exchange, key, MANDATORY, &body, properties).await?.await
        };
        window.push(maybe_done(sent.boxed()));
    }
    for sent in &mut window {
        // The first poll queues the message.
        let _ = sent.now_or_never();
    }
    let confirmed = async move {
        // The last one first: once it is answered, so are nearly all the others, and no task is woken for each.
        for sent in window.iter_mut().rev() {
            (&mut *sent).await;
            match std::pin::Pin::new(sent).take_output() {
                Some(confirmation) => {
                    ensure!(confirmation? == Confirmation::Ack(None), "a message came back");
                }
                None => bail!("a message was sent and never answered"),
            }
        }
        Ok(tag)
    };
    Ok(confirmed.boxed())
}

fn to_amqp(properties: &Properties) -> anyhow::Result<BasicProperties> {
    let short = |text: &String| ShortString::try_new(text.as_str());
    let mut amqp = BasicProperties::default().with_delivery_mode(PERSISTENT);
    type Set = fn(BasicProperties, ShortString) -> BasicProperties;
    let texts: [(&Option<String>, Set); 6] = [
        (&properties.kind, BasicProperties::with_type),
        (&properties.message_id, BasicProperties::with_message_id),
        (&properties.correlation_id, BasicProperties::with_correlation_id),
        (&properties.reply_to, BasicProperties::with_reply_to),
        (&properties.content_type, BasicProperties::with_content_type),
        (&properties.app_id, BasicProperties::with_app_id),
    ];
    for (text, set) in texts {
        if let Some(text) = text {
            amqp = set(amqp, short(text)?);
        }
    }
    if let Some(timestamp) = properties.timestamp {
        amqp = amqp.with_timestamp(timestamp);
    }
    if properties.headers.is_empty() {
        return Ok(amqp);
    }
    let mut headers = FieldTable::default();
    for (name, value) in &properties.headers {
        let value = match value {
            HeaderValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
            HeaderValue::Integer(integer) => AMQPValue::LongLongInt(*integer),
        };
        headers.insert(short(name)?, value);
    }
    Ok(amqp.with_headers(headers))
}
