//! One queue: messages in order, and requeued ones before all others.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use snorri_ports::broker::{Delivery, Publication};

#[derive(Debug)]
pub(super) struct Queue {
    name: String,
    dead_letters: Option<String>,
    messages: Mutex<VecDeque<Message>>,
    arrived: Notify,
}

/// A message in a queue. All queues that it was routed to share its content.
#[derive(Debug, Clone)]
pub(super) struct Message {
    content: Arc<Publication>,
    deliveries: u32,
    expires_at: Option<Instant>,
}

impl Message {
    pub(super) fn new(content: Publication) -> Self {
        let expires_at = content.properties.expiration.map(|expiration| Instant::now() + expiration);
        Self { content: Arc::new(content), deliveries: 0, expires_at }
    }

    fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= Instant::now())
    }
}

impl Queue {
    pub(super) fn new(name: &str, dead_letters: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            dead_letters: dead_letters.map(str::to_owned),
            messages: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn dead_letters(&self) -> Option<&str> {
        self.dead_letters.as_deref()
    }

    pub(super) fn push(&self, message: Message) {
        self.messages().push_back(message);
        self.arrived.notify_one();
    }

    /// Takes at most `most` messages out, in order. Expired ones are dropped.
    pub(super) fn take(self: &Arc<Self>, most: usize) -> Vec<Taken> {
        if most == 0 {
            return Vec::new();
        }
        let mut messages = self.messages();
        messages.retain(|message| !message.has_expired());
        let count = most.min(messages.len());
        let taken = messages.drain(..count).map(|message| Taken::new(self, message)).collect();
        if !messages.is_empty() {
            self.arrived.notify_one();
        }
        taken
    }

    /// Waits until there may be messages. Each arrival wakes one consumer, which wakes the next one if it leaves messages: see
    /// [`Queue::take`].
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    pub(super) fn pass_on(&self) {
        if self.depth() > 0 {
            self.arrived.notify_one();
        }
    }

    pub(super) fn depth(&self) -> u64 {
        self.messages().len() as u64
    }

    fn messages(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message that was taken out of its queue. It goes back to the front unless it is settled.
#[derive(Debug)]
pub(super) struct Taken {
    queue: Arc<Queue>,
    message: Option<Message>,
    deliveries: u32,
    content: Arc<Publication>,
}

impl Taken {
    fn new(queue: &Arc<Queue>, mut message: Message) -> Self {
        message.deliveries = message.deliveries.saturating_add(1);
        let (deliveries, content) = (message.deliveries, message.content.clone());
        Self { queue: queue.clone(), message: Some(message), deliveries, content }
    }

    /// How often it was delivered, this time included.
    pub(super) fn deliveries(&self) -> u32 {
        self.deliveries
    }

    pub(super) fn delivery(&self) -> Delivery {
        Delivery {
            exchange: self.content.exchange.clone(),
            routing_key: self.content.routing_key.clone(),
            properties: self.content.properties.clone(),
            body: self.content.body.clone(),
            redelivered: self.deliveries > 1,
            malformed: None,
            moved_from: None,
            cut: None,
        }
    }

    pub(super) fn settle(mut self) {
        self.message = None;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.queue.messages().push_front(message);
            self.queue.arrived.notify_one();
        }
    }
}
