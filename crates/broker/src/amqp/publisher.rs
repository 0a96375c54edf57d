//! Publishes batches and determines the result of each message.
//!
//! A batch is pipelined on one channel: all messages are queued before the first is written, so that they share writes, and
//! only then are the confirms awaited. Batches run concurrently, each on a channel of a small pool.
//!
//! lapin attaches a returned message to the next confirm, which need not be its own. So no result is returned before the whole
//! batch is answered, and returned messages are then identified by their content. A channel on which anything went wrong is not
//! used again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind};
use tokio::sync::Semaphore;

use crate::amqp::calls::{self, connection_error, within};
use crate::amqp::connection::Link;
use crate::amqp::options::Options;
use crate::amqp::properties::{short, to_amqp};
use crate::amqp::returns::{Answer, Returned, conclude};
use crate::amqp::topology;
use crate::amqp::topology::known::Known;
use snorri_ports::broker::{Error, Publication, Published};

/// Most messages in flight on a channel. More do not add speed, but a longer wait when one is stuck.
const WINDOW_MESSAGES: usize = 1_000;
/// Most bytes of bodies in flight on a channel: lapin copies them.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;

/// Every message must find a queue; otherwise it is returned.
const MANDATORY: BasicPublishOptions = BasicPublishOptions { mandatory: true, immediate: false };

#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) link: Link,
    known: Arc<Known>,
    options: Arc<Options>,
    /// Unused channels, with the generation of their connection.
    idle: Mutex<Vec<(u64, Channel)>>,
    /// One for each channel that may be in use.
    permits: Semaphore,
}

/// The result of a batch on one channel.
struct Attempt {
    published: Vec<Published>,
    /// The broker closed the channel for this reason: it takes no messages for some exchange among them.
    refused: Option<String>,
}

impl Publisher {
    pub(super) fn new(link: Link, known: Arc<Known>, options: Arc<Options>) -> Self {
        let permits = Semaphore::new(options.publisher_channels.max(1));
        Self { link, known, options, idle: Mutex::default(), permits }
    }

    /// Publishes a batch and waits for the result of each message, in the order given.
    pub(super) async fn publish(&self, batch: &[Publication]) -> Vec<Published> {
        let mut published = Vec::with_capacity(batch.len());
        while published.len() < batch.len() {
            let window = window(&batch[published.len()..]);
            published.append(&mut self.publish_window(&window).await);
        }
        published
    }

    async fn publish_window(&self, window: &[&Publication]) -> Vec<Published> {
        let Attempt { mut published, refused } = self.attempt(window).await;
        let Some(reason) = refused else {
            return published;
        };
        // An exchange is gone, or refuses access. That closed the channel for all the others too: declare the topology, and
        // publish to each exchange separately.
        tracing::warn!(reason, "the broker refused a message; declaring the topology again");
        self.restore().await;
        let mut by_exchange: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, publication) in window.iter().enumerate() {
            by_exchange.entry(&publication.exchange).or_default().push(index);
        }
        for (exchange, indexes) in by_exchange {
            let group: Vec<&Publication> = indexes.iter().map(|index| window[*index]).collect();
            for (index, result) in indexes.into_iter().zip(self.publish_to(exchange, &group).await) {
                published[index] = result;
            }
        }
        published
    }

    /// As [`Publisher::publish_window`], but all for one exchange, and without a further attempt.
    async fn publish_to(&self, exchange: &str, group: &[&Publication]) -> Vec<Published> {
        let Attempt { mut published, refused } = self.attempt(group).await;
        if let Some(reason) = refused {
            tracing::error!(exchange, reason, "the broker takes no messages for this exchange");
            for result in published.iter_mut().filter(|result| **result == Published::Unknown) {
                *result = Published::Unroutable;
            }
        }
        published
    }

    async fn restore(&self) {
        let Ok(live) = self.link.live() else {
            return;
        };
        match topology::restore(&live.connection, &self.known, &self.known.all(), &self.options).await {
            Ok(refused) => {
                for reason in refused {
                    tracing::error!(reason, "cannot declare a part of the topology");
                }
            }
            Err(error) => tracing::error!(%error, "cannot declare the topology"),
        }
    }

    /// Sends all of these on one channel.
    async fn attempt(&self, window: &[&Publication]) -> Attempt {
        let unknown = || Attempt { published: vec![Published::Unknown; window.len()], refused: None };
        let timeout = self.options.confirm_timeout;
        let Ok(Ok(_permit)) = tokio::time::timeout(timeout, self.permits.acquire()).await else {
            return unknown();
        };
        let (generation, channel) = match self.channel().await {
            Ok(channel) => channel,
            Err(error) => {
                tracing::debug!(%error, "no channel to publish on");
                return unknown();
            }
        };
        let mut sending: Vec<Sending<'_>> =
            window.iter().map(|message| Sending::new(&channel, message)).collect();
        // The first poll queues a message for the connection to write, in this order.
        sending.iter_mut().for_each(Sending::poll);
        // The last one first: once it is answered, so are nearly all the others, and no task is woken for each of them.
        let answered = tokio::time::timeout(timeout, async {
            for sending in sending.iter_mut().rev() {
                sending.answered().await;
            }
        });
        if answered.await.is_err() {
            tracing::warn!(messages = window.len(), "the broker did not confirm in time");
            sending.iter_mut().for_each(Sending::poll);
        }
        let (mut answers, mut returned, mut refused) = (Vec::with_capacity(window.len()), Vec::new(), None);
        for sending in sending {
            match sending {
                Sending::Done(Ok((answer, message))) => {
                    answers.push(answer);
                    returned.extend(message.map(|message| *message));
                }
                Sending::Done(Err(error)) => {
                    answers.push(Answer::None);
                    refused = refused.or_else(|| refusal(&error));
                }
                Sending::Pending(_) => answers.push(Answer::None),
            }
        }
        if !answers.contains(&Answer::None) {
            self.keep(generation, channel);
        }
        Attempt { published: conclude(window, &answers, &returned), refused }
    }

    /// Sends one message unchanged, and returns whether the broker has confirmed it.
    pub(super) async fn send(&self, queue: &str, properties: BasicProperties, body: &[u8]) -> bool {
        let sent = async {
            let _permit = self.permits.acquire().await.ok()?;
            let (generation, channel) = self.channel().await.ok()?;
            let to = short(queue).ok()?;
            let confirm = channel.basic_publish("".into(), to, MANDATORY, body, properties).await.ok()?;
            let confirmation = confirm.await.ok()?;
            self.keep(generation, channel);
            (confirmation == Confirmation::Ack(None)).then_some(())
        };
        matches!(tokio::time::timeout(self.options.confirm_timeout, sent).await, Ok(Some(())))
    }

    /// A channel in confirm mode, and the generation of its connection.
    async fn channel(&self) -> Result<(u64, Channel), Error> {
        let live = self.link.live()?;
        if live.connection.status().blocked() {
            // Messages sent now would pile up in memory, try after try.
            return Err(Error::Unavailable("it takes no messages: it is short of memory or disk".to_owned()));
        }
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some((generation, channel))
                    if generation == live.generation && channel.status().connected() =>
                {
                    return Ok((generation, channel));
                }
                Some(_) => {}
                None => break,
            }
        }
        let channel = calls::open_channel(&live.connection, &self.options).await?;
        let confirming = channel.confirm_select(ConfirmSelectOptions { nowait: false });
        within(self.options.operation_timeout, "asking for confirms", confirming).await?;
        Ok((live.generation, channel))
    }

    fn keep(&self, generation: u64, channel: Channel) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((generation, channel));
    }
}

/// The answer to one message, and the returned message attached to it, if any: most likely another one.
type Answered = lapin::Result<(Answer, Option<Box<Returned>>)>;

/// One message in flight.
enum Sending<'a> {
    Pending(BoxFuture<'a, Answered>),
    Done(Answered),
}

impl<'a> Sending<'a> {
    fn new(channel: &'a Channel, publication: &'a Publication) -> Self {
        let Publication { exchange, routing_key, properties, body } = publication;
        let (Ok(exchange), Ok(key), Ok(properties)) =
            (short(exchange), short(routing_key), to_amqp(properties))
        else {
            tracing::error!(exchange, routing_key, "a name or property has more than 255 bytes");
            return Self::Done(Ok((Answer::Impossible, None)));
        };
        let sent = async move {
            let confirm = channel.basic_publish(exchange, key, MANDATORY, body, properties).await?;
            let (answer, returned) = match confirm.await? {
                Confirmation::Ack(returned) => (Answer::Ack, returned),
                Confirmation::Nack(returned) => (Answer::Nack, returned),
                Confirmation::NotRequested => (Answer::None, None),
            };
            Ok((answer, returned.map(|message| Box::new(Returned::new(&message.delivery)))))
        };
        Self::Pending(sent.boxed())
    }

    fn poll(&mut self) {
        if let Self::Pending(sent) = self
            && let Some(result) = sent.now_or_never()
        {
            *self = Self::Done(result);
        }
    }

    async fn answered(&mut self) {
        if let Self::Pending(sent) = self {
            *self = Self::Done(sent.await);
        }
    }
}

/// The first messages of a batch, as many as may be in flight together.
fn window(batch: &[Publication]) -> Vec<&Publication> {
    let mut bytes = 0;
    let fits = |(index, publication): &(usize, &Publication)| {
        bytes += publication.body.len();
        *index == 0 || bytes <= WINDOW_BYTES
    };
    batch
        .iter()
        .take(WINDOW_MESSAGES)
        .enumerate()
        .take_while(fits)
        .map(|(_, publication)| publication)
        .collect()
}

/// The broker's text if it closed the channel, but not the connection, over a message.
fn refusal(error: &lapin::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::ProtocolError(_) if error.is_amqp_soft_error() => match connection_error(error) {
            Error::Refused(reason) => Some(reason),
            Error::Unavailable(_) => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_bounded_in_number_and_bytes() {
        let body = |bytes: usize| Publication { body: vec![0; bytes], ..Publication::default() };
        assert_eq!(window(&vec![body(1); WINDOW_MESSAGES + 1]).len(), WINDOW_MESSAGES);
        assert_eq!(window(&[body(WINDOW_BYTES / 2), body(WINDOW_BYTES / 2), body(1)]).len(), 2);
        assert_eq!(window(&[body(WINDOW_BYTES + 1), body(1)]).len(), 1);
    }
}
