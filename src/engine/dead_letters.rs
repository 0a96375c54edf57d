//! Messages that nothing could be made of: kept where people can look at them, give them back to their queue, or discard them.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::Engine;
use crate::broker::envelope::{self, header};
use crate::broker::{Delivery, HeaderValue, Properties, Publication, Published, Verdict};
use crate::saga::journal::By;
use crate::store::{self, AuditEntry, Batch, DeadLetter};

/// What the broker says of a message that it has dead-lettered by itself.
const BROKERS_REASON: &str = "x-first-death-reason";
const BROKERS_QUEUE: &str = "x-first-death-queue";

/// Why a dead letter was not dealt with.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    #[error("there is no dead letter with this id")]
    NotFound,
    #[error("it was replayed or discarded already")]
    Resolved,
    #[error("no queue is called `{0}` any more")]
    NoQueue(String),
    #[error("the broker did not confirm the message: whether it is in its queue again is not known")]
    Unconfirmed,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl LetterError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "dead_letter_not_found",
            Self::Resolved => "dead_letter_resolved",
            Self::NoQueue(_) => "no_queue",
            Self::Unconfirmed => "broker_unavailable",
            Self::Store(store::Error::Invalid(_)) => "invalid_value",
            Self::Store(_) => "store_unavailable",
        }
    }
}

/// Moves a delivery from the broker's dead letters into the store. One that comes again after a crash is there twice.
pub(super) async fn take_in(engine: Engine, delivery: Delivery) -> Verdict {
    let letter = letter(&engine, delivery);
    match engine.store().commit(Batch { dead_letters: vec![letter], ..Batch::default() }).await {
        Ok(()) => Verdict::Ack,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot keep a dead letter now");
            Verdict::Requeue
        }
    }
}

fn letter(engine: &Engine, delivery: Delivery) -> DeadLetter {
    let Delivery { properties, body, .. } = delivery;
    let text = |name: &str| match properties.headers.get(name) {
        Some(HeaderValue::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let code = text(header::CODE).or_else(|| text(BROKERS_REASON)).unwrap_or_else(|| "unknown".to_owned());
    let reason = text(header::REASON).unwrap_or_else(|| format!("the broker gave up delivering it ({code})"));
    let (saga, step) = match envelope::addressee(&properties) {
        Some((saga, step)) => (Some(saga), step.map(|step| step.to_string())),
        None => (None, None),
    };
    DeadLetter {
        id: Uuid::now_v7(),
        at: engine.clock().now(),
        queue: text(header::QUEUE).or_else(|| text(BROKERS_QUEUE)).unwrap_or_default(),
        code,
        reason,
        saga,
        step,
        properties: to_json(&properties),
        body,
        resolved_at: None,
    }
}

impl Engine {
    pub async fn dead_letter(&self, id: Uuid) -> Result<DeadLetter, LetterError> {
        self.store().dead_letter(id).await?.ok_or(LetterError::NotFound)
    }

    /// Puts a dead letter back into the queue it was taken from.
    pub async fn replay_letter(&self, id: Uuid, by: &By) -> Result<DeadLetter, LetterError> {
        let letter = self.unresolved_letter(id).await?;
        let publication = Publication {
            exchange: String::new(),
            routing_key: letter.queue.clone(),
            properties: from_json(&letter.properties),
            body: letter.body.clone(),
        };
        match self.broker().publish(vec![publication]).await[..] {
            [Published::Confirmed] => self.resolve_letter(letter, "replay_dead_letter", by).await,
            [Published::Unroutable] => Err(LetterError::NoQueue(letter.queue)),
            _ => Err(LetterError::Unconfirmed),
        }
    }

    /// Says that nothing is to be done about a dead letter.
    pub async fn discard_letter(&self, id: Uuid, by: &By) -> Result<DeadLetter, LetterError> {
        let letter = self.unresolved_letter(id).await?;
        self.resolve_letter(letter, "discard_dead_letter", by).await
    }

    async fn unresolved_letter(&self, id: Uuid) -> Result<DeadLetter, LetterError> {
        let letter = self.dead_letter(id).await?;
        if letter.resolved_at.is_some() { Err(LetterError::Resolved) } else { Ok(letter) }
    }

    async fn resolve_letter(
        &self,
        letter: DeadLetter,
        action: &str,
        by: &By,
    ) -> Result<DeadLetter, LetterError> {
        let now = self.clock().now();
        let state = |resolved: bool| serde_json::json!({ "dead_letter": letter.id, "resolved": resolved });
        let audit = AuditEntry {
            id: Uuid::now_v7(),
            at: now,
            actor: by.actor.clone(),
            action: action.to_owned(),
            reason: by.reason.clone(),
            saga: letter.saga,
            seq: None,
            step: letter.step.clone(),
            definition: None,
            before: state(false),
            after: state(true),
        };
        let batch =
            Batch { letters_resolved: vec![(letter.id, now)], audit: vec![audit], ..Batch::default() };
        self.store().commit(batch).await?;
        Ok(DeadLetter { resolved_at: Some(now), ..letter })
    }
}

/// Properties as people and [`from_json`] read them.
fn to_json(properties: &Properties) -> Value {
    let Properties {
        kind,
        message_id,
        correlation_id,
        reply_to,
        content_type,
        app_id,
        timestamp,
        headers,
        ..
    } = properties;
    let texts = [
        ("type", kind),
        ("message_id", message_id),
        ("correlation_id", correlation_id),
        ("reply_to", reply_to),
        ("content_type", content_type),
        ("app_id", app_id),
    ];
    let mut json: Map<String, Value> =
        texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into()))).collect();
    if let Some(timestamp) = timestamp {
        json.insert("timestamp".to_owned(), (*timestamp).into());
    }
    let header = |(name, value): (&String, &HeaderValue)| {
        let value = match value {
            HeaderValue::Text(text) => text.as_str().into(),
            HeaderValue::Integer(number) => (*number).into(),
        };
        (name.clone(), value)
    };
    if !headers.is_empty() {
        json.insert("headers".to_owned(), Value::Object(headers.iter().map(header).collect()));
    }
    json.into()
}

/// What the message had when it first came: what was noted of its death does not go back with it, but where it was published to
/// does.
fn from_json(json: &Value) -> Properties {
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_kept = |name: &str| {
        ![header::CODE, header::REASON, header::QUEUE].contains(&name) && !name.starts_with("x-")
    };
    let header = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::Number(number) => HeaderValue::Integer(number.as_i64()?),
            value => HeaderValue::Text(value.as_str()?.to_owned()),
        };
        is_kept(name).then(|| (name.clone(), value))
    };
    let headers = json.get("headers").and_then(Value::as_object);
    Properties {
        kind: text("type"),
        message_id: text("message_id"),
        correlation_id: text("correlation_id"),
        reply_to: text("reply_to"),
        content_type: text("content_type"),
        app_id: text("app_id"),
        timestamp: json.get("timestamp").and_then(Value::as_u64),
        expiration: None,
        headers: headers.map(|all| all.iter().filter_map(header).collect()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replayed_message_has_the_properties_that_it_came_with() {
        let header = |name: &str, value| (name.to_owned(), value);
        let text = |text: &str| HeaderValue::Text(text.to_owned());
        let before = Properties {
            kind: Some("success".to_owned()),
            timestamp: Some(7),
            headers: [
                header("tenant", text("a")),
                header("tries", HeaderValue::Integer(-3)),
                header(header::EXCHANGE, text("shop.events")),
            ]
            .into(),
            ..Properties::default()
        };
        let mut dead = before.clone();
        dead.headers.extend([
            header(header::REASON, text("not JSON")),
            header(BROKERS_QUEUE, text("snorri.replies")),
        ]);
        assert_eq!(from_json(&to_json(&dead)), before);
    }
}
