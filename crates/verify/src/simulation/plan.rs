//! The plan of a simulation: the definition, the input and replies of its sagas, and the rates of faults.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::chance::Spread;
use super::example;
use snorri_core::Definition;
use snorri_core::definition::{Action, Step};
use snorri_definition::Compiled;

/// The name that stands for every step without a setting of its own.
pub(super) const EVERY: &str = "*";

#[derive(Debug, Clone)]
pub struct Plan {
    pub compiled: Arc<Compiled>,
    /// The definitions of its child sagas may be among these.
    pub others: Vec<Arc<Compiled>>,
    pub seed: u64,
    pub input: Arc<Value>,
    pub key: Option<String>,
    /// The outputs of steps by name, those of child sagas included.
    pub outputs: BTreeMap<String, Arc<Value>>,
    pub faults: Faults,
    /// The latency of replies.
    pub latency: Spreads,
    /// The time from the beginning of a wait to its signal or event: by its name, or that of its step.
    pub arrival: Spreads,
}

/// The rates of faults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// The participant refuses. The share of attempts, like all rates except `cancel`.
    pub failure: Rates,
    /// The participant reports an error, and the attempt is retried.
    pub error: Rates,
    /// No reply.
    pub timeout: Rates,
    /// A success that comes after the deadline.
    pub late: Rates,
    /// A compensation is refused.
    pub compensation_failure: Rates,
    /// The share of sagas that are cancelled.
    pub cancel: f64,
}

/// A share for each step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates(BTreeMap<String, f64>);

/// A distribution of durations for each step or name.
#[derive(Debug, Clone, PartialEq)]
pub struct Spreads {
    pub default: Spread,
    pub by_name: BTreeMap<String, Spread>,
}

/// `charge=2%`, `*=0.5%`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    pub step: String,
    pub share: f64,
}

impl Plan {
    /// A plan with generated input and replies, and without faults.
    pub fn new(compiled: Arc<Compiled>, others: Vec<Arc<Compiled>>, seed: u64) -> Self {
        let mut plan = Self {
            input: Arc::new(example::input(&compiled)),
            key: None,
            outputs: BTreeMap::new(),
            faults: Faults::default(),
            latency: Spreads::of(Spread::Usual(Duration::from_millis(10), Duration::from_millis(100))),
            arrival: Spreads::of(Spread::Usual(Duration::from_secs(60), Duration::from_secs(600))),
            compiled,
            others,
            seed,
        };
        let definitions = plan.definitions();
        let outputs: Vec<_> = definitions
            .into_iter()
            .flat_map(|it| example::outputs(it, &|step| plan.is_answered(step)))
            .collect();
        for (name, output) in outputs {
            plan.outputs.entry(name).or_insert(Arc::new(output));
        }
        plan
    }

    /// The definition of a child saga, if it is known.
    pub(super) fn child(&self, name: &str, version: u32) -> Option<&Compiled> {
        let all = std::iter::once(&self.compiled).chain(&self.others);
        all.map(AsRef::as_ref)
            .find(|compiled| *compiled.definition.name == *name && compiled.definition.version == version)
    }

    /// Whether the output of a step is a simulated reply, signal or event, not the result of a simulated child.
    fn is_answered(&self, step: &Step) -> bool {
        match &step.action {
            Action::Command(_) | Action::Wait(_) => true,
            Action::Child(child) => self.child(&child.definition, child.version).is_none(),
            _ => false,
        }
    }

    /// Its own definition, and those of all child sagas.
    pub fn definitions(&self) -> Vec<&Definition> {
        let mut found: Vec<&Definition> = vec![&self.compiled.definition];
        let mut at = 0;
        while let Some(definition) = found.get(at) {
            for child in
                definition.children().filter_map(|(_, child)| self.child(&child.definition, child.version))
            {
                if !found.iter().any(|known| known.name == child.definition.name) {
                    found.push(&child.definition);
                }
            }
            at += 1;
        }
        found
    }
}

impl Faults {
    /// The rates with their names.
    pub(super) fn rates(&self) -> [(&'static str, &Rates); 5] {
        [
            ("failure", &self.failure),
            ("error", &self.error),
            ("timeout", &self.timeout),
            ("late", &self.late),
            ("compensation-failure", &self.compensation_failure),
        ]
    }

    pub(super) fn sum(&self, step: &str) -> f64 {
        let transient: f64 =
            [&self.error, &self.timeout, &self.late].map(|rates| rates.of(step)).iter().sum();
        transient + self.failure.of(step).max(self.compensation_failure.of(step))
    }

    /// Adds the faults of a text like `failure charge=2%, cancel 1%`.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let parts: Vec<_> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Err("there are no faults in it: write some, like `failure charge=2%`".into());
        }
        for part in parts {
            let wrong = || {
                format!(
                    "`{part}` is not like `failure charge=2%`: there are failure, error, timeout, late, \
                     compensation-failure with a step or `*`, and `cancel 1%`"
                )
            };
            let (kind, rate) = part.split_once(' ').ok_or_else(wrong)?;
            let rates = match kind {
                "failure" => &mut self.failure,
                "error" => &mut self.error,
                "timeout" => &mut self.timeout,
                "late" => &mut self.late,
                "compensation-failure" => &mut self.compensation_failure,
                "cancel" => {
                    self.cancel = share(rate)?;
                    continue;
                }
                _ => return Err(wrong()),
            };
            rates.set(rate.parse()?);
        }
        Ok(())
    }
}

impl Rates {
    pub fn set(&mut self, rate: Rate) {
        self.0.insert(rate.step, rate.share);
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn of(&self, step: &str) -> f64 {
        self.0.get(step).or_else(|| self.0.get(EVERY)).copied().unwrap_or_default()
    }
}

impl Spreads {
    pub fn of(default: Spread) -> Self {
        Self { default, by_name: BTreeMap::new() }
    }

    /// Sets the distribution of a text like `name=20ms..300ms`.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (name, spread) =
            text.split_once('=').ok_or_else(|| format!("`{text}` is not like `charge=20ms..300ms`"))?;
        match name {
            EVERY => self.default = spread.parse()?,
            name => {
                self.by_name.insert(name.to_owned(), spread.parse()?);
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, names: &[&str]) -> Spread {
        names.iter().find_map(|name| self.by_name.get(*name)).copied().unwrap_or(self.default)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (step, rate) =
            text.split_once('=').ok_or_else(|| format!("`{text}` is not like `charge=2%` or `*=0.5%`"))?;
        Ok(Self { step: step.trim().to_owned(), share: share(rate)? })
    }
}

/// `2%` or `0.02`.
fn share(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, of) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    match number.trim().parse::<f64>() {
        Ok(number) if (0.0..=of).contains(&number) => Ok(number / of),
        _ => Err(format!("`{text}` is not a share between 0% and 100%")),
    }
}
