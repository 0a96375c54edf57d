//! What is to be simulated: the definition, what its sagas are given, and how often what goes wrong.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::chance::Spread;
use super::example;
use crate::catalog::Compiled;
use crate::saga::Definition;
use crate::saga::definition::{Action, Step};

/// For every step that has none of its own.
pub(super) const EVERY: &str = "*";

#[derive(Debug, Clone)]
pub struct Plan {
    pub compiled: Arc<Compiled>,
    /// The definitions that its child sagas may have.
    pub beside: Vec<Arc<Compiled>>,
    pub seed: u64,
    pub input: Arc<Value>,
    pub key: Option<String>,
    /// What its steps are answered: by the step's name, within a child saga too.
    pub outputs: BTreeMap<String, Arc<Value>>,
    pub faults: Faults,
    /// How long a reply takes.
    pub latency: Spreads,
    /// When a signal or an event comes, from when it is waited for: by its name, or its step's.
    pub arrival: Spreads,
}

/// How often what goes wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// The participant refuses. Of each attempt, as all of these but the last.
    pub failure: Rates,
    /// It did not work this time.
    pub error: Rates,
    /// No reply.
    pub timeout: Rates,
    /// A success that comes after the deadline.
    pub late: Rates,
    /// A compensation is refused.
    pub undo_failure: Rates,
    /// Of all sagas, how many are cancelled.
    pub cancel: f64,
}

/// A share for each step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates(BTreeMap<String, f64>);

/// How long it takes, for each step or name.
#[derive(Debug, Clone, PartialEq)]
pub struct Spreads {
    pub otherwise: Spread,
    pub by_name: BTreeMap<String, Spread>,
}

/// `charge=2%`, `*=0.5%`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    pub step: String,
    pub share: f64,
}

impl Plan {
    /// With made-up input and replies, and nothing that goes wrong.
    pub fn new(compiled: Arc<Compiled>, beside: Vec<Arc<Compiled>>, seed: u64) -> Self {
        let mut plan = Self {
            input: Arc::new(example::input(&compiled)),
            key: None,
            outputs: BTreeMap::new(),
            faults: Faults::default(),
            latency: Spreads::of(Spread::Usual(Duration::from_millis(10), Duration::from_millis(100))),
            arrival: Spreads::of(Spread::Usual(Duration::from_secs(60), Duration::from_secs(600))),
            compiled,
            beside,
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

    /// The definition of a child saga, if it is there.
    pub(super) fn child(&self, name: &str, version: u32) -> Option<&Compiled> {
        let all = std::iter::once(&self.compiled).chain(&self.beside);
        all.map(AsRef::as_ref)
            .find(|compiled| *compiled.definition.name == *name && compiled.definition.version == version)
    }

    /// Whether its output is what somebody else says, rather than what becomes of it here.
    fn is_answered(&self, step: &Step) -> bool {
        match &step.action {
            Action::Command(_) | Action::Wait(_) => true,
            Action::Child(child) => self.child(&child.definition, child.version).is_none(),
            _ => false,
        }
    }

    /// Its own definition, and those of all sagas that are part of its sagas.
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
    /// By their names in texts.
    pub(super) fn rates(&self) -> [(&'static str, &Rates); 5] {
        [
            ("failure", &self.failure),
            ("error", &self.error),
            ("timeout", &self.timeout),
            ("late", &self.late),
            ("undo-failure", &self.undo_failure),
        ]
    }

    pub(super) fn sum(&self, step: &str) -> f64 {
        let transient: f64 =
            [&self.error, &self.timeout, &self.late].map(|rates| rates.of(step)).iter().sum();
        transient + self.failure.of(step).max(self.undo_failure.of(step))
    }

    /// Adds what a text like `failure charge=2%, cancel 1%` says.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let parts: Vec<_> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Err("nothing goes wrong in it: say what does, like `failure charge=2%`".into());
        }
        for part in parts {
            let wrong = || {
                format!(
                    "`{part}` is not like `failure charge=2%`: there are failure, error, timeout, late, \
                     undo-failure with a step or `*`, and `cancel 1%`"
                )
            };
            let (kind, rate) = part.split_once(' ').ok_or_else(wrong)?;
            let rates = match kind {
                "failure" => &mut self.failure,
                "error" => &mut self.error,
                "timeout" => &mut self.timeout,
                "late" => &mut self.late,
                "undo-failure" => &mut self.undo_failure,
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
    pub fn of(otherwise: Spread) -> Self {
        Self { otherwise, by_name: BTreeMap::new() }
    }

    /// Takes in `name=20ms..300ms`.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (name, spread) =
            text.split_once('=').ok_or_else(|| format!("`{text}` is not like `charge=20ms..300ms`"))?;
        match name {
            EVERY => self.otherwise = spread.parse()?,
            name => {
                self.by_name.insert(name.to_owned(), spread.parse()?);
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, names: &[&str]) -> Spread {
        names.iter().find_map(|name| self.by_name.get(*name)).copied().unwrap_or(self.otherwise)
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
