//! The result of each message of a batch, from its answer and the returned messages. Pure.

use std::collections::HashMap;

use lapin::types::ShortString;

use snorri_ports::broker::{Publication, Published};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Ack,
    Nack,
    None,
    /// A property does not fit into AMQP: it can never be sent.
    Impossible,
}

/// The properties by which a returned message is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Returned {
    exchange: String,
    routing_key: String,
    message_id: Option<String>,
    correlation_id: Option<String>,
}

impl Returned {
    pub(super) fn new(delivery: &lapin::message::Delivery) -> Self {
        let text = |text: &Option<ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
        Self {
            exchange: delivery.exchange.as_str().to_owned(),
            routing_key: delivery.routing_key.as_str().to_owned(),
            message_id: text(delivery.properties.message_id()),
            correlation_id: text(delivery.properties.correlation_id()),
        }
    }

    fn of(publication: &Publication) -> Self {
        Self {
            exchange: publication.exchange.clone(),
            routing_key: publication.routing_key.clone(),
            message_id: publication.properties.message_id.clone(),
            correlation_id: publication.properties.correlation_id.clone(),
        }
    }
}

/// The result of each message of a window, given the answer to each and the returned messages.
pub(super) fn conclude(window: &[&Publication], answers: &[Answer], returned: &[Returned]) -> Vec<Published> {
    let mut published: Vec<Published> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Ack => Published::Confirmed,
            // A queue for it did not take it. If there are several, others may have: it is sent to all again.
            Answer::Nack => Published::Refused,
            Answer::None => Published::Unknown,
            Answer::Impossible => Published::Unroutable,
        })
        .collect();
    if returned.is_empty() {
        return published;
    }
    if answers.contains(&Answer::None) {
        // Another return may still follow with a missing confirm.
        published.iter_mut().filter(|p| **p == Published::Confirmed).for_each(|p| *p = Published::Unknown);
    }
    let mut indexes: HashMap<Returned, Vec<usize>> = HashMap::new();
    for (index, publication) in window.iter().enumerate() {
        indexes.entry(Returned::of(publication)).or_default().push(index);
    }
    for message in returned {
        match indexes.get_mut(message).and_then(Vec::pop) {
            Some(index) => published[index] = Published::Unroutable,
            None => {
                tracing::error!("the broker returned a message that was not sent: nothing is sure");
                return vec![Published::Unknown; window.len()];
            }
        }
    }
    published
}

#[cfg(test)]
mod tests {
    use super::*;
    use snorri_ports::broker::Properties;

    fn message(id: &str) -> Publication {
        let properties = Properties { message_id: Some(id.to_owned()), ..Properties::default() };
        Publication { routing_key: "q".to_owned(), properties, ..Publication::default() }
    }

    fn concluded(ids: &[&str], answers: &[Answer], returned: &[&str]) -> String {
        let messages: Vec<Publication> = ids.iter().copied().map(message).collect();
        let returned: Vec<Returned> = returned.iter().map(|id| Returned::of(&message(id))).collect();
        let results = conclude(&messages.iter().collect::<Vec<_>>(), answers, &returned);
        let letter = |result: &Published| match result {
            Published::Confirmed => 'C',
            Published::Unroutable => 'U',
            Published::Refused => 'R',
            Published::Unknown => '?',
        };
        results.iter().map(letter).collect()
    }

    #[test]
    fn returned_messages_are_found_by_what_they_carry() {
        use Answer::{Ack, Impossible, Nack, None};
        assert_eq!(concluded(&["a", "b", "c"], &[Ack, Ack, Ack], &["b"]), "CUC");
        assert_eq!(concluded(&["a", "a", "c"], &[Ack, Ack, Ack], &["a", "a"]), "UUC");
        assert_eq!(concluded(&["a", "b"], &[Ack, Nack], &[]), "CR");
        assert_eq!(concluded(&["a", "b"], &[Impossible, Ack], &[]), "UC");
        assert_eq!(concluded(&["a", "b"], &[Ack, None], &[]), "C?");
        // b was returned, but a's or c's return may still follow.
        assert_eq!(concluded(&["a", "b", "c", "d"], &[Ack, Ack, Ack, None], &["b"]), "?U??");
        assert_eq!(concluded(&["a", "b"], &[Ack, Ack], &["x"]), "??");
    }
}
