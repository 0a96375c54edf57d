//! The answers of the API, as far as they are used.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use snorri_wire::observed::{Binding, DeadLetters, Exchange, ExchangeKind, Queue, Target};

/// The settings of policies.
pub(super) struct Policies {
    by_name: BTreeMap<String, Map<String, Value>>,
    /// The policies by pattern, of which the first that matches applies: a queue does not name its policy.
    operators: Vec<(Regex, Map<String, Value>)>,
}

impl Policies {
    pub(super) fn new(policies: Vec<PolicyDto>, mut operators: Vec<PolicyDto>) -> Self {
        operators.sort_by_key(|policy| Reverse(policy.priority));
        let of_queues = operators.into_iter().filter(|policy| policy.apply_to != "classic_queues");
        let operators =
            of_queues.filter_map(|policy| Some((Regex::new(&policy.pattern).ok()?, policy.definition)));
        Self {
            by_name: policies.into_iter().map(|policy| (policy.name, policy.definition)).collect(),
            operators: operators.collect(),
        }
    }

    fn named(&self, name: Option<&String>) -> Option<&Map<String, Value>> {
        self.by_name.get(name?)
    }

    fn of_operators(&self, queue: &str) -> Option<&Map<String, Value>> {
        self.operators.iter().find(|(pattern, _)| pattern.is_match(queue)).map(|(_, definition)| definition)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Overview {
    pub(super) rabbitmq_version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ExchangeDto {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    arguments: Map<String, Value>,
    pub(super) policy: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct BindingDto {
    pub(super) source: String,
    destination: String,
    destination_type: String,
    routing_key: String,
    arguments: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct QueueDto {
    pub(super) name: String,
    arguments: Map<String, Value>,
    #[serde(rename = "type")]
    kind: Option<String>,
    pub(super) policy: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConsumerDto {
    pub(super) queue: QueueName,
}

#[derive(Debug, Deserialize)]
pub(super) struct QueueName {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PolicyDto {
    name: String,
    pattern: String,
    apply_to: String,
    #[serde(default)]
    priority: i64,
    definition: Map<String, Value>,
}

impl ExchangeDto {
    pub(super) fn seen(self, policies: &Policies) -> (String, Exchange) {
        let policy = policies.named(self.policy.as_ref());
        let alternate = setting(&self.arguments, "alternate-exchange", policy);
        let exchange = Exchange {
            kind: ExchangeKind::from(self.kind.as_str()),
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            alternate: alternate.and_then(Value::as_str).map(str::to_owned),
        };
        (self.name, exchange)
    }
}

impl BindingDto {
    pub(super) fn seen(self) -> Binding {
        let target = match self.destination_type.as_str() {
            "exchange" => Target::Exchange(self.destination),
            _ => Target::Queue(self.destination),
        };
        Binding { exchange: self.source, target, routing_key: self.routing_key, arguments: self.arguments }
    }
}

impl QueueDto {
    pub(super) fn seen(&self, consumers: usize, policies: &Policies) -> Queue {
        let policy = policies.named(self.policy.as_ref());
        let operator = policies.of_operators(&self.name);
        let text = |name| setting(&self.arguments, name, policy).and_then(Value::as_str).map(str::to_owned);
        let limit = setting(&self.arguments, "delivery-limit", policy).and_then(Value::as_i64);
        let operators_limit =
            operator.and_then(|operator| operator.get("delivery-limit")).and_then(Value::as_i64);
        Queue {
            is_quorum: self.kind.as_deref() == Some("quorum"),
            consumers,
            dead_letters: text("dead-letter-exchange")
                .map(|exchange| DeadLetters { exchange, routing_key: text("dead-letter-routing-key") }),
            delivery_limit: limit.or(operators_limit),
        }
    }
}

/// The setting of an argument, which takes precedence, or of a policy. Arguments of queues begin with `x-`.
fn setting<'a>(
    arguments: &'a Map<String, Value>,
    name: &str,
    policy: Option<&'a Map<String, Value>>,
) -> Option<&'a Value> {
    let argument = arguments.get(name).or_else(|| arguments.get(&format!("x-{name}")));
    argument.or_else(|| policy.and_then(|policy| policy.get(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_counts_before_a_policy() {
        let queue: QueueDto = serde_json::from_value(serde_json::json!({
            "name": "q", "type": "quorum", "policy": "p",
            "arguments": {"x-dead-letter-exchange": "mine"},
        }))
        .expect("a queue");
        let policies = |json| serde_json::from_value(json).expect("policies");
        let users = policies(serde_json::json!([{
            "name": "p", "pattern": "", "apply-to": "all", "priority": 0,
            "definition": {"dead-letter-exchange": "other", "dead-letter-routing-key": "k"},
        }]));
        let operators = policies(serde_json::json!([
            {"name": "low", "pattern": "^q", "apply-to": "queues", "priority": 1, "definition": {"delivery-limit": 9}},
            {"name": "high", "pattern": "^q$", "apply-to": "all", "priority": 2, "definition": {"delivery-limit": 7}},
        ]));
        let policies = Policies::new(users, operators);
        let letters = DeadLetters { exchange: "mine".to_owned(), routing_key: Some("k".to_owned()) };
        let seen =
            Queue { is_quorum: true, consumers: 2, dead_letters: Some(letters), delivery_limit: Some(7) };
        assert_eq!(queue.seen(2, &policies), seen);
    }
}
