//! Events on the wire: domain events that a saga publishes, and lifecycle events.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::{APP_ID, CONTENT_TYPE, seconds, traceparent};
use crate::header;
use crate::message::{HeaderValue, Properties, Publication};
use snorri_core::SagaId;
use snorri_core::message::{Event, Lifecycle};

/// CloudEvents 1.0 in structured mode: the attributes and the data are all in the body.
const CLOUD_EVENT: &str = "application/cloudevents+json";

pub(super) fn event_publication(event: &Event) -> Publication {
    let message_id = Uuid::new_v5(&event.saga.0, format!("{}/publish", event.step).as_bytes());
    let trace = traceparent(event.saga, event.trace_id.as_deref(), message_id);
    let mut headers = headers(event.saga, &event.definition);
    headers.insert(header::STEP.to_owned(), HeaderValue::Text(event.step.to_string()));
    headers.insert(header::TRACEPARENT.to_owned(), HeaderValue::Text(trace));
    Publication {
        exchange: event.exchange.to_string(),
        routing_key: event.name.to_string(),
        properties: Properties {
            kind: Some(event.name.to_string()),
            message_id: Some(message_id.to_string()),
            content_type: Some(CONTENT_TYPE.to_owned()),
            app_id: Some(APP_ID.to_owned()),
            timestamp: Some(seconds(event.sent_at)),
            headers,
            ..Properties::default()
        },
        body: event.payload.get().as_bytes().to_vec(),
    }
}

/// The routing key is the definition and the change, `order.saga.completed`, so that a watcher can bind to either.
pub(super) fn lifecycle_publication(event: &Lifecycle, exchange: &str) -> Publication {
    let change = event.change.as_str();
    let place = format!("{}/{}", event.seq, event.index);
    let id = Uuid::new_v5(&event.saga.0, format!("lifecycle/{place}").as_bytes()).to_string();
    let body = json!({
        "specversion": "1.0",
        "id": id,
        "source": format!("/snorri/definitions/{}", event.definition),
        "type": format!("snorri.{change}"),
        "subject": event.saga,
        "time": event.at.to_rfc3339(),
        "datacontenttype": CONTENT_TYPE,
        "data": {
            "saga": event.saga,
            "definition": event.definition,
            "version": event.version,
            "key": event.key,
            "step": event.step,
            "problem": event.problem,
            "seq": event.seq,
        },
    });
    Publication {
        exchange: exchange.to_owned(),
        routing_key: format!("{}.{change}", event.definition),
        properties: Properties {
            kind: Some(format!("snorri.{change}")),
            message_id: Some(id),
            content_type: Some(CLOUD_EVENT.to_owned()),
            app_id: Some(APP_ID.to_owned()),
            timestamp: Some(seconds(event.at)),
            headers: headers(event.saga, &event.definition),
            ..Properties::default()
        },
        body: body.to_string().into_bytes(),
    }
}

fn headers(saga: SagaId, definition: &str) -> BTreeMap<String, HeaderValue> {
    BTreeMap::from([
        (header::SAGA.to_owned(), HeaderValue::Text(saga.to_string())),
        (header::DEFINITION.to_owned(), HeaderValue::Text(definition.to_owned())),
    ])
}
