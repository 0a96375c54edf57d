//! Declarations that are independent of each other.
//!
//! The broker closes the channel of a declaration that it refuses. Then the next one gets a new channel, so that a refusal
//! affects nothing else.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use crate::amqp::calls::{self, connection_error, within};
use crate::amqp::options::Options;
use crate::amqp::properties::short;
use snorri_ports::broker::Error;
use snorri_wire::observed::Exchange;

/// Declares on one connection, on a new channel after each refusal.
pub(in crate::amqp) struct Declarer<'a> {
    connection: &'a Connection,
    options: &'a Options,
    channel: Option<Channel>,
}

/// Why a declaration failed.
#[derive(Debug)]
pub(in crate::amqp) enum Failure {
    /// 404: it does not exist.
    NotFound,
    /// 403: the user lacks a right. Has the broker's text.
    AccessRefused(String),
    /// 406: it exists with other properties. Has the broker's text.
    Different(String),
    Other(Error),
}

impl<'a> Declarer<'a> {
    pub(in crate::amqp) fn new(connection: &'a Connection, options: &'a Options) -> Self {
        Self { connection, options, channel: None }
    }

    /// Declares an exchange, or, if it exists, compares it with `exchange`.
    pub(in crate::amqp) async fn exchange(&mut self, name: &str, exchange: &Exchange) -> Result<(), Failure> {
        let flags = ExchangeDeclareOptions {
            passive: false,
            durable: exchange.durable, // for our own: outlives a restart of the broker, as its bindings must
            auto_delete: exchange.auto_delete, // ours stays when its last queue goes: commands then are unroutable
            internal: exchange.internal,       // ours is not: commands are published to it
            nowait: false,                     // a refusal must be noticed
        };
        self.declare_exchange(name, ExchangeKind::Custom(exchange.kind.as_str().to_owned()), flags).await
    }

    /// Checks whether an exchange exists. This takes no rights. Its type is not compared.
    pub(in crate::amqp) async fn find_exchange(&mut self, name: &str) -> Result<(), Failure> {
        let flags = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        self.declare_exchange(name, ExchangeKind::Topic, flags).await
    }

    async fn declare_exchange(
        &mut self,
        exchange: &str,
        kind: ExchangeKind,
        flags: ExchangeDeclareOptions,
    ) -> Result<(), Failure> {
        let exchange = name(exchange)?;
        let channel = self.channel().await?;
        let declared = channel.exchange_declare(exchange, kind, flags, FieldTable::default());
        self.answer("declaring an exchange", declared).await
    }

    pub(in crate::amqp) async fn queue(&mut self, queue: &str, arguments: FieldTable) -> Result<(), Failure> {
        let flags = QueueDeclareOptions {
            passive: false,
            durable: true,      // quorum queues are
            exclusive: false,   // all replicas of the orchestrator consume it
            auto_delete: false, // messages must wait while no orchestrator runs
            nowait: false,      // a refusal must be noticed
        };
        self.declare_queue(queue, flags, arguments).await
    }

    /// Checks whether a queue exists. This takes no rights.
    pub(in crate::amqp) async fn find_queue(&mut self, queue: &str) -> Result<(), Failure> {
        let flags = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        self.declare_queue(queue, flags, FieldTable::default()).await
    }

    async fn declare_queue(
        &mut self,
        queue: &str,
        flags: QueueDeclareOptions,
        arguments: FieldTable,
    ) -> Result<(), Failure> {
        let queue = name(queue)?;
        let channel = self.channel().await?;
        let declared = channel.queue_declare(queue, flags, arguments);
        self.answer("declaring a queue", declared).await.map(|_| ())
    }

    pub(in crate::amqp) async fn bind(
        &mut self,
        queue: &str,
        exchange: &str,
        key: &str,
    ) -> Result<(), Failure> {
        let (queue, exchange, key) = (name(queue)?, name(exchange)?, name(key)?);
        let channel = self.channel().await?;
        let nowait = QueueBindOptions { nowait: false };
        let bound = channel.queue_bind(queue, exchange, key, nowait, FieldTable::default());
        self.answer("binding a queue", bound).await
    }

    /// Closes the channel.
    pub(in crate::amqp) async fn finish(self) {
        if let Some(channel) = self.channel {
            calls::close_channel(&channel, self.options).await;
        }
    }

    async fn channel(&mut self) -> Result<Channel, Failure> {
        match &self.channel {
            Some(channel) if channel.status().connected() => Ok(channel.clone()),
            _ => {
                let channel = calls::open_channel(self.connection, self.options).await;
                Ok(self.channel.insert(channel.map_err(Failure::Other)?).clone())
            }
        }
    }

    /// Waits for the broker's answer. After a refusal the channel is not used again.
    async fn answer<T>(
        &mut self,
        what: &str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Failure> {
        let call = async { Ok(call.await.map_err(|error| Failure::from(&error))) };
        let answer = within(self.options.operation_timeout, what, call).await.map_err(Failure::Other)?;
        if answer.is_err() {
            self.channel = None;
        }
        answer
    }
}

impl From<&lapin::Error> for Failure {
    fn from(error: &lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(reply) => match reply.get_id() {
                404 => Self::NotFound,
                403 => Self::AccessRefused(reply.to_string()),
                406 => Self::Different(reply.to_string()),
                _ => Self::Other(connection_error(error)),
            },
            _ => Self::Other(connection_error(error)),
        }
    }
}

fn name(name: &str) -> Result<ShortString, Failure> {
    short(name).map_err(|_| {
        let reason = format!("a name in AMQP has at most 255 bytes, unlike `{name}`");
        Failure::Other(Error::Refused(reason))
    })
}
