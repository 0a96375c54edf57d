//! Decodes messages that are no replies: signals to one saga, and domain events.

use super::{Undecodable, body, check_name, kind};
use crate::header;
use crate::message::{Delivery, HeaderValue};
use snorri_core::journal::{EventSource, ReceivedEvent};
use snorri_core::{MAX_PAYLOAD_BYTES, SagaId};

/// A signal, and its saga.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    pub saga: SagaId,
    /// The definition of the saga, if the saga is named by its definition and business key.
    pub definition: Option<String>,
    pub arrival: ReceivedEvent,
}

/// Decodes a signal: its `type` is the signal's name, its JSON body the payload (an empty one is `{}`), its `message_id`
/// identifies a repetition. The saga is named by the header `snorri-saga`, or by `snorri-definition` and `snorri-key`.
pub fn decode_signal(delivery: &Delivery) -> Result<Signal, Undecodable> {
    let Some(name) = kind(delivery) else {
        return Err(Undecodable::new(
            "the signal has no `type`: set it to the signal's name, as in `approved`",
        ));
    };
    check_name("the `type` of the signal", name)?;
    let source = EventSource::Signal(name.into());
    let (saga, definition) = addressee(delivery)?;
    Ok(Signal { saga, definition, arrival: arrival(delivery, source, "signal")? })
}

/// Decodes a domain event that was published to this exchange with this routing key.
pub(super) fn decode_event(
    delivery: &Delivery,
    exchange: &str,
    routing_key: &str,
) -> Result<ReceivedEvent, Undecodable> {
    let source = EventSource::Event { exchange: exchange.into(), event: routing_key.into() };
    arrival(delivery, source, "event")
}

fn addressee(delivery: &Delivery) -> Result<(SagaId, Option<String>), Undecodable> {
    if let Some(id) = text(delivery, header::SAGA) {
        return id.parse().map(|id| (id, None)).map_err(|_| {
            Undecodable::new(format!(
                "the header `{}` is not the id of a saga, which is a UUID",
                header::SAGA
            ))
        });
    }
    match (text(delivery, header::DEFINITION), text(delivery, header::KEY)) {
        (Some(definition), Some(key)) => Ok((SagaId::of_key(definition, key), Some(definition.to_owned()))),
        _ => Err(Undecodable::new(format!(
            "the signal names no saga: set the header `{}` to the saga's id, or `{}` and `{}` to its \
             definition and business key",
            header::SAGA,
            header::DEFINITION,
            header::KEY
        ))),
    }
}

fn arrival(delivery: &Delivery, source: EventSource, what: &str) -> Result<ReceivedEvent, Undecodable> {
    let bytes = delivery.body_bytes();
    if bytes > MAX_PAYLOAD_BYTES as u64 {
        return Err(Undecodable::new(format!(
            "the {what} has {bytes} bytes: send at most {MAX_PAYLOAD_BYTES}, and large data by reference"
        )));
    }
    check_name(
        &format!("the `message_id` of the {what}"),
        delivery.properties.message_id.as_deref().unwrap_or_default(),
    )?;
    Ok(ReceivedEvent::new(source, delivery.properties.message_id.clone(), body::decode(delivery)?))
}

fn text<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a str> {
    match delivery.properties.headers.get(name) {
        Some(HeaderValue::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signal(headers: &[(&str, &str)]) -> Delivery {
        let mut delivery = Delivery { body: br#"{"by": "ann"}"#.to_vec(), ..Delivery::default() };
        delivery.properties.kind = Some("approved".to_owned());
        delivery.properties.message_id = Some("m-1".to_owned());
        let text = |text: &str| HeaderValue::Text(text.to_owned());
        delivery.properties.headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
        delivery
    }

    #[test]
    fn a_signal_names_its_saga_by_id_or_by_key() {
        let id = "018f3c9e-1111-7222-8333-444455556666";
        let Signal { saga, definition, arrival } =
            decode_signal(&signal(&[("snorri-saga", id)])).expect("a signal");
        assert_eq!((saga.to_string().as_str(), definition), (id, None));
        let expected = ReceivedEvent {
            source: EventSource::Signal("approved".into()),
            id: Some("m-1".to_owned()),
            body: json!({"by": "ann"}),
        };
        assert_eq!(arrival, expected);
        let by_key = signal(&[("snorri-definition", "order"), ("snorri-key", "o-1")]);
        let by_key = decode_signal(&by_key).expect("a signal");
        assert_eq!(
            (by_key.saga, by_key.definition.as_deref()),
            (SagaId::of_key("order", "o-1"), Some("order"))
        );
    }

    #[test]
    fn a_signal_or_event_that_carries_nothing_is_an_empty_object() {
        for body in ["", "null", "{}"] {
            let mut delivery = signal(&[("snorri-definition", "order"), ("snorri-key", "o-1")]);
            delivery.body = body.as_bytes().to_vec();
            assert_eq!(decode_signal(&delivery).expect("a signal").arrival.body, json!({}), "{body:?}");
            assert_eq!(
                decode_event(&delivery, "shop.events", "placed").expect("an event").body,
                json!({}),
                "{body:?}"
            );
        }
    }

    #[test]
    fn an_unreadable_signal_is_rejected_with_the_missing_part() {
        let reason = |delivery: &Delivery| decode_signal(delivery).expect_err("undecodable").reason;
        assert!(reason(&signal(&[])).contains("`snorri-saga`"));
        assert!(reason(&signal(&[("snorri-definition", "order")])).contains("`snorri-key`"));
        assert!(reason(&signal(&[("snorri-saga", "order")])).contains("UUID"));
        let mut nameless = signal(&[]);
        nameless.properties.kind = None;
        assert!(reason(&nameless).contains("`type`"));
        let mut garbage = signal(&[("snorri-definition", "order"), ("snorri-key", "o-1")]);
        garbage.body = b"{".to_vec();
        assert!(reason(&garbage).contains("not JSON"));
    }
}
