//! The queues that a message is routed to, by AMQP's rules as RabbitMQ implements them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::observed::{Binding, ExchangeKind, Observed, Target};

/// The parts of a message that determine its route.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    pub routing_key: &'a str,
    /// Its headers. A header with a value that varies is `None`.
    pub headers: BTreeMap<&'a str, Option<&'a str>>,
}

impl Observed {
    /// The queues that take a message, through however many exchanges.
    pub fn route<'a>(&'a self, exchange: &'a str, message: &Message<'_>) -> BTreeSet<&'a str> {
        let mut queues = BTreeSet::new();
        let mut seen = BTreeSet::from([exchange]);
        let mut todo = vec![exchange];
        while let Some(exchange) = todo.pop() {
            if exchange.is_empty() {
                queues.extend(self.queues.get_key_value(message.routing_key).map(|(name, _)| name.as_str()));
                continue;
            }
            let Some(found) = self.exchanges.get(exchange) else { continue };
            let taking = self.bindings.iter().filter(|binding| binding.exchange == exchange);
            let targets: Vec<_> = taking
                .filter(|binding| binding.takes(&found.kind, message))
                .map(|binding| &binding.target)
                .collect();
            let further = targets.iter().filter_map(|target| match target {
                Target::Exchange(name) => Some(name.as_str()),
                Target::Queue(_) => None,
            });
            // The alternate exchange is only for messages without a matching binding, not for those whose bindings lead to no
            // queue.
            let alternate = found.alternate.as_deref().filter(|_| targets.is_empty());
            todo.extend(further.chain(alternate).filter(|name| seen.insert(name)));
            queues.extend(targets.iter().filter_map(|target| match target {
                Target::Queue(name) => Some(name.as_str()),
                Target::Exchange(_) => None,
            }));
        }
        queues
    }
}

impl Binding {
    fn takes(&self, kind: &ExchangeKind, message: &Message<'_>) -> bool {
        match kind {
            ExchangeKind::Topic => topic_matches(&self.routing_key, message.routing_key),
            ExchangeKind::Direct => self.routing_key == message.routing_key,
            // An unknown type must cause no alarm.
            ExchangeKind::Fanout | ExchangeKind::Other(_) => true,
            ExchangeKind::Headers => self.takes_headers(message),
        }
    }

    /// All arguments or any of them, by `x-match`; those that begin with `x-` only if it includes them.
    fn takes_headers(&self, message: &Message<'_>) -> bool {
        let how = self.arguments.get("x-match").and_then(Value::as_str).unwrap_or("all");
        let mut asked = self.arguments.iter().filter(|(name, _)| match how.ends_with("-with-x") {
            true => *name != "x-match",
            false => !name.starts_with("x-"),
        });
        let has = |(name, wanted): (&String, &Value)| {
            let value = message.headers.get(name.as_str());
            value.is_some_and(|value| wanted.is_null() || value.is_some_and(|value| wanted == value))
        };
        if how.starts_with("any") { asked.any(has) } else { asked.all(has) }
    }
}

/// AMQP's topic patterns: `*` is one word, `#` any number of words, none included.
pub fn topic_matches(pattern: &str, key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    // The empty key has no words at all, not an empty one.
    let key: Vec<&str> = if key.is_empty() { Vec::new() } else { key.split('.').collect() };
    // The row of the table "do the first i patterns match the first j words" for the i so far. With `#` in it, a
    // pattern that is tried word by word could take exponential time.
    let mut row: Vec<bool> = (0..=key.len()).map(|words| words == 0).collect();
    for part in pattern {
        let mut next = vec![false; key.len() + 1];
        next[0] = part == "#" && row[0];
        for (at, word) in key.iter().enumerate() {
            next[at + 1] = match part {
                "#" => row[at + 1] || next[at],
                "*" => row[at],
                part => row[at] && part == *word,
            };
        }
        row = next;
    }
    row[key.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::observed::{Exchange, Queue};

    #[test]
    fn patterns_match_as_in_amqp() {
        let yes = [
            ("#", ""),
            ("#", "a.b"),
            ("a.#", "a"),
            ("a.#", "a.b.c"),
            ("*.b", "a.b"),
            ("#.b.#", "b"),
            ("#.b.#", "a.b.c.b"),
            ("a.*.#.c", "a.b.c"),
            ("a.b", "a.b"),
        ];
        let no = [("*", ""), ("*", "a.b"), ("a.*", "a"), ("#.b", "a"), ("a.*.#.c", "a.c"), ("a.b", "a.b.c")];
        for (pattern, key) in yes {
            assert!(topic_matches(pattern, key), "{pattern} {key}");
        }
        for (pattern, key) in no {
            assert!(!topic_matches(pattern, key), "{pattern} {key}");
        }
    }

    #[test]
    fn each_type_of_exchange_has_its_rule() {
        let cases = [
            ("topic", "inventory.*", true),
            ("topic", "payment.#", false),
            ("direct", "inventory.reserve", true),
            ("direct", "inventory.*", false),
            ("fanout", "whatever", true),
            ("x-consistent-hash", "1", true),
        ];
        for (kind, key, takes) in cases {
            let observed =
                observed(&[("shop", kind, None)], vec![binding("shop", "inventory", key, json!({}))]);
            let queues = observed.route("shop", &message());
            assert_eq!(queues.contains("inventory"), takes, "{kind} {key}");
        }
    }

    #[test]
    fn headers_are_asked_for_all_or_any() {
        let cases = [
            (json!({}), true),
            (json!({"snorri-step": "reserve"}), true),
            (json!({"snorri-step": "reserve", "snorri-direction": "compensate"}), false),
            (json!({"x-match": "any", "snorri-step": "reserve", "snorri-direction": "compensate"}), true),
            (json!({"x-match": "any"}), false),
            (json!({"x-match": "all", "x-other": 1}), true),
            (json!({"x-match": "all-with-x", "x-other": 1}), false),
            (json!({"snorri-saga": null}), true),
            (json!({"snorri-saga": "a certain one"}), false),
        ];
        for (arguments, takes) in cases {
            let bound = binding("shop", "inventory", "", arguments.clone());
            let observed = observed(&[("shop", "headers", None)], vec![bound]);
            assert_eq!(!observed.route("shop", &message()).is_empty(), takes, "{arguments}");
        }
    }

    #[test]
    fn a_message_goes_on_from_exchange_to_exchange_and_comes_to_an_end() {
        let to = |from: &str, exchange: &str| Binding {
            target: Target::Exchange(exchange.to_owned()),
            ..binding(from, "", "inventory.#", json!({}))
        };
        let bindings = vec![to("shop", "all"), to("all", "shop"), binding("all", "inventory", "", json!({}))];
        let observed = observed(&[("shop", "topic", None), ("all", "fanout", None)], bindings);
        assert_eq!(observed.route("shop", &message()), BTreeSet::from(["inventory"]));
    }

    #[test]
    fn an_alternate_exchange_takes_what_is_bound_nowhere() {
        let exchanges = [("shop", "topic", Some("rest")), ("rest", "fanout", None), ("end", "fanout", None)];
        let rest = binding("rest", "inventory", "", json!({}));
        let alone = observed(&exchanges, vec![rest.clone()]);
        assert_eq!(alone.route("shop", &message()), BTreeSet::from(["inventory"]));
        let end = Target::Exchange("end".to_owned());
        let bound = Binding { target: end, ..binding("shop", "", "#", json!({})) };
        let elsewhere = observed(&exchanges, vec![rest, bound]);
        assert!(elsewhere.route("shop", &message()).is_empty(), "it is bound, although to no queue");
    }

    #[test]
    fn the_default_exchange_knows_queues_by_name() {
        let observed = observed(&[], Vec::new());
        let to = |routing_key| observed.route("", &Message { routing_key, ..message() });
        assert_eq!(to("inventory"), BTreeSet::from(["inventory"]));
        assert!(to("inventory.reserve").is_empty());
        assert!(observed.route("shop", &message()).is_empty(), "no such exchange");
    }

    fn message() -> Message<'static> {
        let headers =
            [("snorri-step", Some("reserve")), ("snorri-direction", Some("forward")), ("snorri-saga", None)];
        Message { routing_key: "inventory.reserve", headers: headers.into() }
    }

    fn observed(exchanges: &[(&str, &str, Option<&str>)], bindings: Vec<Binding>) -> Observed {
        let exchange = |(name, kind, alternate): &(&str, &str, Option<&str>)| {
            let alternate = alternate.map(str::to_owned);
            let kind = ExchangeKind::from(*kind);
            (
                (*name).to_owned(),
                Exchange { kind, durable: true, auto_delete: false, internal: false, alternate },
            )
        };
        Observed {
            exchanges: exchanges.iter().map(exchange).collect(),
            queues: [("inventory".to_owned(), Queue::default())].into(),
            bindings,
            limits_deliveries: true,
        }
    }

    fn binding(exchange: &str, queue: &str, key: &str, arguments: Value) -> Binding {
        let arguments: Map<_, _> = serde_json::from_value(arguments).expect("an object");
        let target = Target::Queue(queue.to_owned());
        Binding { exchange: exchange.to_owned(), target, routing_key: key.to_owned(), arguments }
    }
}
