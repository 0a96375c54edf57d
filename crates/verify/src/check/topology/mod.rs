//! Checks the messages of a definition against the topology of a running broker: each must reach a queue with a consumer.
//!
//! Pure: the caller [observes](Observed) the topology.

mod exchange;
mod findings;

pub use exchange::check_exchanges;

use std::collections::BTreeSet;

use self::exchange::{ExchangeUse, exchange_uses};
use self::findings::Findings;
use snorri_core::Direction;
use snorri_core::definition::{CommandAction, Step};
use snorri_definition::Compiled;
use snorri_definition::Diagnostics;
use snorri_definition::diagnostic::code;
use snorri_wire::observed::{DeadLetters, Observed};
use snorri_wire::routing::Message;

/// Reports what the topology lacks for the sagas of `compiled`. `declares`: `broker.declare_topology` is true, so the type of an
/// exchange is checked and a missing one will be declared.
pub fn check_topology(compiled: &Compiled, observed: &Observed, declares: bool) -> Diagnostics {
    let definition = &compiled.definition;
    let mut check = TopologyCheck { observed, declares, findings: Findings::default() };
    for used in exchange_uses(definition) {
        check.exchange(&used);
    }
    for (index, step) in definition.steps().iter().enumerate() {
        for direction in [Direction::Forward, Direction::Compensate] {
            if let Some(command) = step.command(direction) {
                check.command(index, step, command, &definition.name, direction);
            }
        }
    }
    check.findings.into_diagnostics(compiled)
}

struct TopologyCheck<'a> {
    observed: &'a Observed,
    declares: bool,
    findings: Findings,
}

impl<'a> TopologyCheck<'a> {
    fn command(
        &mut self,
        index: usize,
        step: &'a Step,
        command: &'a CommandAction,
        saga: &'a str,
        direction: Direction,
    ) {
        self.findings.key = match direction {
            Direction::Forward => "command",
            Direction::Compensate => "compensate",
        };
        let Some(exchange) = self.observed.exchanges.get(&*command.exchange) else { return };
        if exchange.internal {
            return;
        }
        let message = message(step, command, saga, direction);
        let queues = self.observed.route(&command.exchange, &message);
        let kind = match direction {
            Direction::Forward => "command",
            Direction::Compensate => "compensation",
        };
        let what = format!("{kind} `{}` on `{}`", command.name, command.exchange);
        if queues.is_empty() {
            let help = self.suggest_binding(command);
            self.findings.error(code::NO_ROUTE, Some(index), format!("no queue takes {what}"), help);
            return;
        }
        let consumed =
            |queue: &&str| self.observed.queues.get(*queue).is_some_and(|queue| queue.consumers > 0);
        let participants: BTreeSet<_> = queues.iter().copied().filter(consumed).collect();
        if participants.is_empty() {
            let what = format!("no consumer on {} ({what})", list_queues(&queues));
            let help =
                "start the participant, or check which broker and virtual host it is connected to".to_owned();
            self.findings.error(code::NO_CONSUMER, Some(index), what, help);
        }
        // A queue without a consumer next to a participant's, such as that of an audit, is not checked.
        for queue in if participants.is_empty() { queues } else { participants } {
            self.queue(index, queue, &message);
        }
    }

    fn exchange(&mut self, used: &ExchangeUse<'_>) {
        self.findings.key = used.key;
        let name = used.exchange;
        let Some(exchange) = self.observed.exchanges.get(name) else {
            let help = match self.declares {
                true => "`snorri serve` declares it when it starts; if it has, this is not its virtual host",
                false => {
                    "declare it as a durable topic exchange: with `broker.declare_topology = false`, Snorri does not"
                }
            };
            let what = format!("there is no exchange `{name}`");
            return self.findings.error(code::NO_SUCH_EXCHANGE, used.step, what, help.to_owned());
        };
        let misfit = if self.declares { used.misfit(exchange) } else { used.internal(exchange) };
        if let Some(misfit) = misfit {
            self.findings.misfit(used.step, name, misfit);
        }
    }

    fn queue(&mut self, step: usize, name: &str, message: &Message<'_>) {
        let Some(queue) = self.observed.queues.get(name) else { return };
        match &queue.dead_letters {
            None => {
                let help = format!(
                    "give it one: rabbitmqctl set_policy {name}-dead-letters '^{name}$' \
                     '{{\"dead-letter-exchange\": \"EXCHANGE\"}}' --apply-to queues"
                );
                let what = format!("queue `{name}` has no dead-letter exchange");
                self.findings.error(code::NO_DEAD_LETTERS, Some(step), what, help);
            }
            Some(letters) => self.dead_letters(step, name, letters, message),
        }
        let is_endless = queue.delivery_limit.map_or(!self.observed.limits_deliveries, |limit| limit < 0);
        if queue.is_quorum && is_endless {
            let what = format!("quorum queue `{name}` redelivers a message without limit");
            let help = "set `x-delivery-limit` when it is declared, or `delivery-limit` by policy";
            self.findings.warning(code::NO_DELIVERY_LIMIT, Some(step), what, help.to_owned());
        }
    }

    fn dead_letters(&mut self, step: usize, queue: &str, letters: &DeadLetters, message: &Message<'_>) {
        let DeadLetters { exchange, routing_key } = letters;
        if !exchange.is_empty() && !self.observed.exchanges.contains_key(exchange) {
            let what = format!(
                "queue `{queue}` sends its dead letters to exchange `{exchange}`, which does not exist"
            );
            let help = format!("declare `{exchange}`, and bind a queue to it");
            return self.findings.error(code::DEAD_LETTERS_NOWHERE, Some(step), what, help);
        }
        let key = routing_key.as_deref().unwrap_or(message.routing_key);
        let dead = Message { routing_key: key, headers: message.headers.clone() };
        if self.observed.route(exchange, &dead).is_empty() {
            let (place, help) = match exchange.as_str() {
                "" => (format!("queue `{key}`, which does not exist"), format!("declare the queue `{key}`")),
                _ => (
                    format!("exchange `{exchange}`, where no queue takes them (routing key `{key}`)"),
                    format!("bind a queue to `{exchange}`, with `#` if it is a topic exchange"),
                ),
            };
            let what = format!("queue `{queue}` sends its dead letters to {place}");
            self.findings.error(code::DEAD_LETTERS_NOWHERE, Some(step), what, help);
        }
    }

    /// Suggests a binding that routes a command to a queue.
    fn suggest_binding(&self, command: &CommandAction) -> String {
        const MOST: usize = 5;
        let here = self.observed.bindings.iter().filter(|binding| binding.exchange == *command.exchange);
        let keys: BTreeSet<_> = here.map(|binding| format!("`{}`", binding.routing_key)).collect();
        let bound = match keys.len() {
            0 => "nothing is bound there".to_owned(),
            count => {
                let more = if count > MOST { ", ..." } else { "" };
                format!("bound there: {}{more}", keys.into_iter().take(MOST).collect::<Vec<_>>().join(", "))
            }
        };
        format!(
            "start its participant once, which binds its queue, or bind it with `{}`; {bound}",
            command.name
        )
    }
}

/// The routing key and headers of a command.
fn message<'a>(
    step: &'a Step,
    command: &'a CommandAction,
    saga: &'a str,
    direction: Direction,
) -> Message<'a> {
    // Within a `for_each` the path has the number of the item in it.
    let path = step.within.is_empty().then_some(&*step.name);
    let known = [
        ("snorri-definition", Some(saga)),
        ("snorri-step", path),
        ("snorri-direction", Some(direction.as_str())),
    ];
    let other = ["snorri-saga", "snorri-attempt", "snorri-deadline", "traceparent"].map(|name| (name, None));
    Message { routing_key: &command.name, headers: known.into_iter().chain(other).collect() }
}

fn list_queues(queues: &BTreeSet<&str>) -> String {
    let names: Vec<_> = queues.iter().map(|queue| format!("`{queue}`")).collect();
    let what = if names.len() == 1 { "queue" } else { "any of the queues" };
    format!("{what} {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use snorri_definition::compile;
    use snorri_wire::observed::{Binding, Exchange, ExchangeKind, Queue, Target};

    const SHIP: &str = "\
saga: order
version: 1
defaults: { exchange: shop }
steps:
  - name: ship
    command: shipping.book
    pivot: true
";

    fn found(observed: &Observed, declares: bool) -> Vec<&'static str> {
        let compiled = compile("order.yaml", SHIP).expect("compiles");
        check_topology(&compiled, observed, declares).list.iter().map(|diagnostic| diagnostic.code).collect()
    }

    fn bound(queue: &str) -> Binding {
        let (exchange, routing_key) = ("shop".to_owned(), "#".to_owned());
        Binding { exchange, target: Target::Queue(queue.to_owned()), routing_key, arguments: Map::new() }
    }

    /// The exchange, and a queue that passes all checks.
    fn right() -> Observed {
        let kind = ExchangeKind::Topic;
        let shop = Exchange { kind, durable: true, auto_delete: false, internal: false, alternate: None };
        let letters = DeadLetters { exchange: String::new(), routing_key: Some("dead".to_owned()) };
        let shipping =
            Queue { is_quorum: true, consumers: 1, dead_letters: Some(letters), delivery_limit: Some(5) };
        Observed {
            exchanges: [("shop".to_owned(), shop)].into(),
            queues: [("shipping".to_owned(), shipping), ("dead".to_owned(), Queue::default())].into(),
            bindings: vec![bound("shipping")],
            limits_deliveries: false,
        }
    }

    fn with(change: impl FnOnce(&mut Exchange, &mut Queue)) -> Observed {
        let mut observed = right();
        let exchange = observed.exchanges.get_mut("shop").expect("the exchange");
        change(exchange, observed.queues.get_mut("shipping").expect("the queue"));
        observed
    }

    #[test]
    fn only_what_would_never_end_needs_a_limit() {
        assert!(found(&right(), true).is_empty());
        let unlimited = with(|_, queue| queue.delivery_limit = None);
        assert_eq!(found(&unlimited, true), [code::NO_DELIVERY_LIMIT]);
        assert!(found(&Observed { limits_deliveries: true, ..unlimited }, true).is_empty());
        let classic =
            with(|_, queue| *queue = Queue { is_quorum: false, delivery_limit: None, ..queue.clone() });
        assert!(found(&classic, true).is_empty());
        let switched_off = with(|_, queue| queue.delivery_limit = Some(-1));
        let newer = Observed { limits_deliveries: true, ..switched_off };
        assert_eq!(found(&newer, true), [code::NO_DELIVERY_LIMIT]);
    }

    #[test]
    fn exchanges_are_used_as_they_are_without_declare_topology() {
        let fanout = with(|exchange, _| exchange.kind = ExchangeKind::Fanout);
        assert_eq!(found(&fanout, true), [code::OTHER_EXCHANGE]);
        assert!(found(&fanout, false).is_empty());
        let transient = with(|exchange, _| exchange.durable = false);
        assert_eq!(found(&transient, true), [code::OTHER_EXCHANGE]);
        assert!(found(&transient, false).is_empty());
        let internal = with(|exchange, _| exchange.internal = true);
        assert_eq!(found(&internal, false), [code::OTHER_EXCHANGE]);
    }

    #[test]
    fn a_queue_that_only_listens_in_is_not_asked_for_dead_letters() {
        let mut observed = right();
        observed.queues.insert("audit".to_owned(), Queue::default());
        observed.bindings.push(bound("audit"));
        assert!(found(&observed, true).is_empty());
        observed.queues.remove("dead");
        assert_eq!(found(&observed, true), [code::DEAD_LETTERS_NOWHERE]);
    }
}
