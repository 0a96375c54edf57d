//! Checks that an exchange fits its uses in a definition.
//!
//! Snorri declares missing exchanges as durable topic exchanges. An existing exchange belongs to others and is used as it is,
//! as long as every command still reaches only the queues that are bound with its routing key.

use std::collections::BTreeMap;

use super::findings::Findings;
use snorri_core::definition::{Action, EventPattern, Step, Trigger};
use snorri_core::{Definition, Direction};
use snorri_definition::Compiled;
use snorri_definition::Diagnostics;
use snorri_definition::diagnostic::code;
use snorri_wire::observed::{Exchange, ExchangeKind, ExchangeState};

/// The use of an exchange by a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Command,
    Publish,
    Subscribe,
}

/// One use of an exchange.
pub(super) struct ExchangeUse<'a> {
    pub(super) exchange: &'a str,
    purpose: Purpose,
    /// `None`: a trigger of the definition.
    pub(super) step: Option<usize>,
    /// The key of the step that names it.
    pub(super) key: &'static str,
}

/// Why an exchange does not fit.
pub(super) struct Misfit {
    pub(super) is_error: bool,
    pub(super) what: String,
    pub(super) help: String,
}

const HELP: &str = "delete it, so that Snorri declares a durable topic exchange, name another exchange, or set \
                    `broker.declare_topology = false` to use exchanges as they are";

/// Checks the exchanges of `compiled` against their states on the broker. Exchanges without a state are left out.
pub fn check_exchanges(compiled: &Compiled, states: &BTreeMap<String, ExchangeState>) -> Diagnostics {
    let mut findings = Findings::default();
    for used in exchange_uses(&compiled.definition) {
        findings.key = used.key;
        let name = used.exchange;
        match states.get(name) {
            None | Some(ExchangeState::Exists | ExchangeState::Missing) => {}
            Some(ExchangeState::Found(exchange)) => {
                if let Some(misfit) = used.misfit(exchange) {
                    findings.misfit(used.step, name, misfit);
                }
            }
            Some(ExchangeState::Unavailable(reason)) => {
                let help = "declare it as a durable topic exchange".to_owned();
                findings.error(code::NO_SUCH_EXCHANGE, used.step, reason.clone(), help);
            }
            Some(ExchangeState::Unknown(reason)) => {
                let what = format!("exchange `{name}` could not be checked: {reason}");
                let help =
                    "no saga is started if the exchange turns out not to fit: see `snorri definitions`";
                findings.warning(code::EXCHANGE_NOT_CHECKED, used.step, what, help.to_owned());
            }
        }
    }
    findings.into_diagnostics(compiled)
}

/// All uses of exchanges, triggers first, then by step.
pub(super) fn exchange_uses(definition: &Definition) -> Vec<ExchangeUse<'_>> {
    let mut uses = Vec::new();
    for trigger in &definition.starts {
        if let Trigger::Event { exchange, .. } = trigger {
            uses.push(ExchangeUse { exchange, purpose: Purpose::Subscribe, step: None, key: "" });
        }
    }
    for (index, step) in definition.steps().iter().enumerate() {
        uses.extend(uses_of(index, step));
    }
    uses
}

fn uses_of(index: usize, step: &Step) -> Vec<ExchangeUse<'_>> {
    let mut uses = Vec::new();
    let mut add =
        |exchange, purpose, key| uses.push(ExchangeUse { exchange, purpose, step: Some(index), key });
    for (direction, key) in [(Direction::Forward, "command"), (Direction::Compensate, "compensate")] {
        if let Some(command) = step.command(direction) {
            for EventPattern { exchange, .. } in command.reply_events.iter().map(|reply| &reply.event) {
                add(exchange, Purpose::Subscribe, key);
            }
            add(&command.exchange, Purpose::Command, key);
        }
    }
    let key = step.action.kind().as_str();
    match &step.action {
        Action::Publish(publish) => add(&publish.exchange, Purpose::Publish, key),
        Action::Wait(wait) => {
            wait.awaited.event().into_iter().for_each(|event| add(&event.exchange, Purpose::Subscribe, key));
        }
        _ => {}
    }
    uses
}

impl ExchangeUse<'_> {
    /// An internal exchange cannot be used, even with `broker.declare_topology = false`.
    pub(super) fn internal(&self, exchange: &Exchange) -> Option<Misfit> {
        (exchange.internal && self.purpose != Purpose::Subscribe).then(|| Misfit {
            is_error: true,
            what: "is internal, so that no client can publish to it".to_owned(),
            help: "declare it again as not internal, or name another exchange".to_owned(),
        })
    }

    /// Why the exchange does not fit this use.
    pub(super) fn misfit(&self, exchange: &Exchange) -> Option<Misfit> {
        if let Some(misfit) = self.internal(exchange) {
            return Some(misfit);
        }
        let kind = exchange.kind.as_str();
        if self.purpose == Purpose::Command
            && matches!(exchange.kind, ExchangeKind::Fanout | ExchangeKind::Headers)
        {
            let what = format!(
                "is of type {kind}, which does not route by routing key: a command would reach queues of other \
                 commands, or none"
            );
            return Some(Misfit { is_error: true, what, help: HELP.to_owned() });
        }
        let concerns: Vec<String> = self.concerns(exchange).collect();
        (!concerns.is_empty()).then(|| Misfit {
            is_error: false,
            what: concerns.join("; it "),
            help: "it is used as it is. To have a durable topic exchange instead, delete it, and Snorri declares it"
                .to_owned(),
        })
    }

    /// Properties that work, but perhaps not as expected.
    fn concerns(&self, exchange: &Exchange) -> impl Iterator<Item = String> {
        let kind = match &exchange.kind {
            ExchangeKind::Topic => None,
            ExchangeKind::Direct => Some(
                "is of type direct, not topic: a queue must be bound with the exact routing key, patterns such as \
                 `shop.*` match nothing"
                    .to_owned(),
            ),
            kind @ (ExchangeKind::Fanout | ExchangeKind::Headers) => {
                Some(format!("is of type {}, not topic: it does not route by routing key", kind.as_str()))
            }
            ExchangeKind::Other(name) => {
                Some(format!("is of type {name}, not topic: how it routes is not known to Snorri"))
            }
        };
        let transient = (!exchange.durable)
            .then(|| "is not durable: it is gone after a restart of the broker".to_owned());
        let auto_delete = exchange
            .auto_delete
            .then(|| "is deleted automatically when its last queue is unbound (auto-delete)".to_owned());
        let alternate = exchange.alternate.as_ref().filter(|_| self.purpose == Purpose::Command).map(|name| {
            format!(
                "has the alternate exchange `{name}`: a command that no queue takes goes there, and Snorri learns \
                 of it only by the timeout of its step"
            )
        });
        [kind, transient, auto_delete, alternate].into_iter().flatten()
    }
}

impl Findings {
    pub(super) fn misfit(&mut self, step: Option<usize>, name: &str, misfit: Misfit) {
        let Misfit { is_error, what, help } = misfit;
        let what = format!("exchange `{name}` {what}");
        match is_error {
            true => self.error(code::OTHER_EXCHANGE, step, what, help),
            false => self.warning(code::OTHER_EXCHANGE, step, what, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snorri_definition::{Severity, compile};

    const PAY: &str = "\
saga: pay
version: 1
key: ${ input.id }
defaults: { exchange: shop }
start:
  - { event: order.placed, exchange: web }
steps:
  - name: charge
    command: payment.charge
    compensate: none
  - publish: payment.done
    exchange: news
";

    fn topic() -> Exchange {
        let kind = ExchangeKind::Topic;
        Exchange { kind, durable: true, auto_delete: false, internal: false, alternate: None }
    }

    fn severity(name: &str, exchange: Exchange) -> Option<Severity> {
        let compiled = compile("pay.yaml", PAY).expect("compiles");
        let states = [(name.to_owned(), ExchangeState::Found(exchange))].into();
        let found = check_exchanges(&compiled, &states).list;
        assert!(found.len() <= 1, "{found:?}");
        found.first().map(|diagnostic| diagnostic.severity)
    }

    fn of_kind(kind: &str) -> Exchange {
        Exchange { kind: kind.into(), ..topic() }
    }

    #[test]
    fn commands_need_an_exchange_that_routes_by_key() {
        assert_eq!(severity("shop", topic()), None);
        for kind in ["fanout", "headers"] {
            assert_eq!(severity("shop", of_kind(kind)), Some(Severity::Error), "{kind}");
            assert_eq!(severity("news", of_kind(kind)), Some(Severity::Warning), "{kind}");
            assert_eq!(severity("web", of_kind(kind)), Some(Severity::Warning), "{kind}");
        }
        for kind in ["direct", "x-delayed-message", "x-consistent-hash"] {
            assert_eq!(severity("shop", of_kind(kind)), Some(Severity::Warning), "{kind}");
        }
    }

    #[test]
    fn other_properties_are_warned_about() {
        let warning = Some(Severity::Warning);
        assert_eq!(severity("shop", Exchange { durable: false, ..topic() }), warning);
        assert_eq!(severity("shop", Exchange { auto_delete: true, ..topic() }), warning);
        let alternate = Exchange { alternate: Some("unrouted".to_owned()), ..topic() };
        assert_eq!(severity("shop", alternate.clone()), warning);
        assert_eq!(severity("news", alternate), None);
    }

    #[test]
    fn an_internal_exchange_accepts_no_messages() {
        let internal = Exchange { internal: true, ..topic() };
        assert_eq!(severity("shop", internal.clone()), Some(Severity::Error));
        assert_eq!(severity("news", internal.clone()), Some(Severity::Error));
        assert_eq!(severity("web", internal), None);
    }

    #[test]
    fn what_could_not_be_asked_is_a_warning_and_what_may_not_be_declared_an_error() {
        let compiled = compile("pay.yaml", PAY).expect("compiles");
        let with = |state: ExchangeState| {
            let found = check_exchanges(&compiled, &[("shop".to_owned(), state)].into());
            (found.errors(), found.warnings())
        };
        assert_eq!(with(ExchangeState::Unknown("no answer".to_owned())), (0, 1));
        assert_eq!(with(ExchangeState::Unavailable("no right".to_owned())), (1, 0));
        assert_eq!(with(ExchangeState::Missing), (0, 0));
        assert_eq!(with(ExchangeState::Exists), (0, 0));
    }
}
