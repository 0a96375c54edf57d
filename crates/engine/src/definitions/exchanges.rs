//! Whether the exchanges that a definition names can be used. A definition that names one that cannot be used starts no saga;
//! other definitions are not affected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::definitions::{Definitions, Error};
use snorri_definition::Compiled;
use snorri_definition::Diagnostics;
use snorri_definition::Severity;
use snorri_definition::diagnostic::code;
use snorri_ports::broker::{self, Broker};
use snorri_verify::check::topology::check_exchanges;
use snorri_wire::observed::ExchangeState;
use snorri_wire::topology::{self, Names};

/// The state of the exchanges of a definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Exchanges {
    /// The broker has not answered yet. Sagas may be started: their commands wait in the outbox.
    #[default]
    Unchecked,
    Usable,
    /// No saga may be started, for this reason.
    Unusable(String),
}

/// Which definitions to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    All,
    /// Those that are not known to be usable.
    NotUsable,
    /// Those that were not checked yet.
    Unchecked,
}

/// The pauses between two checks of definitions whose exchanges cannot be used: each is twice as long as the one before.
const RECHECK_MIN: Duration = Duration::from_secs(5);
const RECHECK_MAX: Duration = Duration::from_secs(60);

/// When to check exchanges again.
#[derive(Debug)]
pub(crate) struct Recheck {
    /// The connection on which all exchanges were checked last.
    connection: u64,
    pause: Duration,
    waited: Duration,
}

impl Recheck {
    pub(crate) fn new(connection: u64) -> Self {
        Self { connection, pause: RECHECK_MIN, waited: Duration::ZERO }
    }

    /// What to check now, `passed` after the last call. After a new connection everything may have changed.
    pub(crate) fn due(&mut self, connection: u64, passed: Duration) -> Option<Which> {
        if connection != self.connection && connection != 0 {
            *self = Self::new(connection);
            return Some(Which::All);
        }
        self.waited += passed;
        if self.waited < self.pause {
            return None;
        }
        self.pause = (self.pause * 2).min(RECHECK_MAX);
        self.waited = Duration::ZERO;
        Some(Which::NotUsable)
    }
}

/// Inspects exchanges of a broker, each once.
pub(crate) struct Inspector<'a> {
    broker: &'a dyn Broker,
    states: BTreeMap<String, ExchangeState>,
}

impl<'a> Inspector<'a> {
    pub(crate) fn new(broker: &'a dyn Broker) -> Self {
        Self { broker, states: BTreeMap::new() }
    }

    /// The problems of the exchanges of a definition. Nothing is declared.
    pub(crate) async fn findings(&mut self, compiled: &Compiled, names: &Names) -> Diagnostics {
        for exchange in topology::topology_of(names, [&*compiled.definition]).exchanges {
            if !self.states.contains_key(&exchange) {
                let state = self.broker.inspect_exchange(&exchange).await;
                self.states.insert(exchange, state);
            }
        }
        check_exchanges(compiled, &self.states)
    }
}

impl Definitions {
    /// Checks the exchanges of definitions, declares missing ones, and binds the events that definitions listen for. Unusable
    /// exchanges are recorded for each definition, and logged.
    ///
    /// # Errors
    ///
    /// [`broker::Error::Unavailable`] if the broker does not answer. Then the state of the exchanges is unknown.
    pub async fn declare(&self, broker: &dyn Broker, names: &Names) -> Result<(), broker::Error> {
        self.declare_some(broker, names, Which::All).await
    }

    pub(crate) async fn declare_some(
        &self,
        broker: &dyn Broker,
        names: &Names,
        which: Which,
    ) -> Result<(), broker::Error> {
        let mut inspector = Inspector::new(broker);
        let mut usable = Vec::new();
        for compiled in self.with_exchanges(|exchanges| match which {
            Which::All => true,
            Which::NotUsable => *exchanges != Exchanges::Usable,
            Which::Unchecked => *exchanges == Exchanges::Unchecked,
        }) {
            let findings = inspector.findings(&compiled, names).await;
            match reason(&findings) {
                Some(reason) => self.set_exchanges(&compiled, Exchanges::Unusable(reason), &findings),
                None => usable.push((compiled, findings)),
            }
        }
        let definitions = usable.iter().map(|(compiled, _)| &*compiled.definition);
        let declared = broker.declare(&topology::topology_of(names, definitions)).await;
        for (compiled, findings) in &usable {
            let declared = match &declared {
                // One definition is at fault: declare each alone.
                Err(broker::Error::Refused(_)) => declare_one(broker, names, compiled).await,
                Err(broker::Error::Unavailable(reason)) => {
                    return Err(broker::Error::Unavailable(reason.clone()));
                }
                Ok(()) => Ok(()),
            };
            match declared {
                Ok(()) => self.set_exchanges(compiled, without_errors(findings), findings),
                Err(broker::Error::Refused(reason)) => {
                    self.set_exchanges(compiled, Exchanges::Unusable(reason), findings);
                }
                Err(error @ broker::Error::Unavailable(_)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Records the state of the exchanges, and logs a change.
    fn set_exchanges(&self, compiled: &Compiled, exchanges: Exchanges, findings: &Diagnostics) {
        let (name, version) = (&compiled.definition.name, compiled.definition.version);
        let before = self.replace_exchanges(name, version, exchanges.clone());
        if before == exchanges {
            return;
        }
        match (before, exchanges) {
            (_, Exchanges::Unusable(reason)) => {
                tracing::warn!(%name, version, reason, "no saga of this definition can be started");
            }
            (Exchanges::Unusable(_), Exchanges::Usable) => {
                tracing::info!(%name, version, "the exchanges of this definition can be used again");
            }
            _ if findings.warnings() > 0 => {
                tracing::warn!(%name, version, "exchanges differ from what Snorri declares:\n{findings}");
            }
            _ => {}
        }
    }

    /// Checks the exchanges of a definition that is to be registered, and declares missing ones. Returns the findings, and the
    /// state.
    pub(crate) async fn admit(
        &self,
        broker: &dyn Broker,
        names: &Names,
        compiled: &Arc<Compiled>,
    ) -> Result<(Diagnostics, Exchanges), Error> {
        let findings = Inspector::new(broker).findings(compiled, names).await;
        if findings.errors() > 0 {
            return Err(Error::Invalid(findings));
        }
        match declare_one(broker, names, compiled).await {
            Err(broker::Error::Refused(reason)) => Err(unusable(compiled, reason)),
            // The exchanges are declared as soon as the broker answers.
            Err(broker::Error::Unavailable(_)) => Ok((findings, Exchanges::Unchecked)),
            Ok(()) => {
                let exchanges = without_errors(&findings);
                Ok((findings, exchanges))
            }
        }
    }

    /// Whether sagas of a definition can be started as far as its exchanges are concerned.
    pub(crate) fn check_usable(&self, compiled: &Compiled) -> Result<(), Error> {
        match self.exchanges(&compiled.definition.name, compiled.definition.version) {
            Exchanges::Unusable(reason) => Err(unusable(compiled, reason)),
            Exchanges::Unchecked | Exchanges::Usable => Ok(()),
        }
    }
}

fn unusable(compiled: &Compiled, reason: String) -> Error {
    let (name, version) = (compiled.definition.name.to_string(), compiled.definition.version);
    Error::UnusableExchange { name, version, reason }
}

async fn declare_one(broker: &dyn Broker, names: &Names, compiled: &Compiled) -> Result<(), broker::Error> {
    broker.declare(&topology::topology_of(names, [&*compiled.definition])).await
}

/// The state after a check without errors and a successful declaration.
fn without_errors(findings: &Diagnostics) -> Exchanges {
    match findings.list.iter().any(|finding| finding.code == code::EXCHANGE_NOT_CHECKED) {
        true => Exchanges::Unchecked,
        false => Exchanges::Usable,
    }
}

/// The errors among the findings, with what to do, as text.
fn reason(findings: &Diagnostics) -> Option<String> {
    let errors = findings.list.iter().filter(|finding| finding.severity == Severity::Error);
    let texts: Vec<String> = errors
        .map(|error| match &error.help {
            Some(help) => format!("{} ({}): {help}", error.message, error.code),
            None => format!("{} ({})", error.message, error.code),
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(5);

    #[test]
    fn checks_become_rarer_until_a_new_connection() {
        let mut recheck = Recheck::new(1);
        let due: Vec<_> = (0..40).filter(|_| recheck.due(1, TICK).is_some()).collect();
        assert_eq!(due, [0, 2, 6, 14, 26, 38], "5, 10, 20, 40 and from then on 60 seconds");
        assert_eq!(recheck.due(0, TICK), None, "there is no connection");
        assert_eq!(recheck.due(2, TICK), Some(Which::All));
        assert_eq!(recheck.due(2, TICK), Some(Which::NotUsable));
    }
}
