//! Decodes timeouts and retries, which commands inherit from policies, from `defaults`, and from Snorri's own defaults.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::code;
use crate::decode::fields::DefinitionFields;
use crate::decode::scalar;
use crate::decode::words::{DEFAULT_COMPENSATION, DEFAULTS, POLICY, RETRY};
use crate::diagnostic::{Diagnostic, Problems};
use crate::source::{Entry, Value};
use crate::suggest;
use snorri_core::definition::retry::Retry;

/// The built-in defaults. The default timeout of a compensation is that of its step.
mod builtin {
    use std::time::Duration;

    use snorri_core::definition::retry::Retry;

    pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
    /// Long enough to start a participant that declares the queue.
    pub(super) const UNROUTABLE_TIMEOUT: Duration = Duration::from_mins(10);
    pub(super) const RETRY: Retry =
        Retry { attempts: 5, first: Duration::from_millis(200), most: Duration::from_secs(30) };
    /// A compensation has more attempts: once they are used up, an operator must act.
    pub(super) const COMPENSATION_RETRY: Retry =
        Retry { attempts: 10, first: Duration::from_secs(1), most: Duration::from_mins(1) };
}

/// Most attempts of a command.
const MOST_ATTEMPTS: u32 = 1_000;

/// Timeouts and retries. Each part that is left open is inherited.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timing {
    timeout: Option<Duration>,
    unroutable_timeout: Option<Duration>,
    attempts: Option<u32>,
    backoff: Option<(Duration, Duration)>,
}

/// How long a command waits for its reply and for a route, and how often it is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) timeout: Duration,
    pub(super) unroutable_timeout: Duration,
    pub(super) retry: Retry,
}

/// The policies of a definition, by name.
#[derive(Debug, Default)]
pub(super) struct Policies<'a>(HashMap<&'a str, Timing>);

/// The defaults of the commands of a definition.
#[derive(Debug, Default)]
pub(super) struct StepDefaults<'a> {
    pub(super) policies: Policies<'a>,
    pub(super) exchange: Option<Arc<str>>,
    forward: Timing,
    compensation: Timing,
}

impl Timing {
    /// Decodes the fields, and fills the rest from their policy.
    fn of(fields: DefinitionFields<'_>, policies: &Policies<'_>, problems: &mut Problems) -> Self {
        let policy = fields.get("policy").and_then(|entry| policies.find(entry, problems));
        Self::decode(fields, problems).or(policy.unwrap_or_default())
    }

    fn decode(fields: DefinitionFields<'_>, problems: &mut Problems) -> Self {
        let timeout = fields.get("timeout").and_then(|entry| scalar::duration(entry, problems));
        let unroutable_timeout =
            fields.get("unroutable_timeout").and_then(|entry| scalar::duration(entry, problems));
        let retry =
            fields.get("retry").and_then(|entry| DefinitionFields::of(&entry.value, &RETRY, problems));
        let Some(fields) = retry else {
            return Self { timeout, unroutable_timeout, ..Self::default() };
        };
        let attempts =
            fields.get("attempts").and_then(|entry| scalar::integer(entry, 1..=MOST_ATTEMPTS, problems));
        let backoff = fields.get("backoff").and_then(|entry| scalar::backoff(entry, problems));
        Self { timeout, unroutable_timeout, attempts, backoff }
    }

    /// The same, with the open parts from `other`.
    fn or(self, other: Self) -> Self {
        Self {
            timeout: self.timeout.or(other.timeout),
            unroutable_timeout: self.unroutable_timeout.or(other.unroutable_timeout),
            attempts: self.attempts.or(other.attempts),
            backoff: self.backoff.or(other.backoff),
        }
    }

    fn patience(self, timeout: Duration, builtin: Retry) -> Patience {
        let (first, most) = self.backoff.unwrap_or((builtin.first, builtin.most));
        Patience {
            timeout: self.timeout.unwrap_or(timeout),
            unroutable_timeout: self.unroutable_timeout.unwrap_or(builtin::UNROUTABLE_TIMEOUT),
            retry: Retry { attempts: self.attempts.unwrap_or(builtin.attempts), first, most },
        }
    }
}

impl<'a> Policies<'a> {
    pub(super) fn of(entry: Option<&'a Entry>, problems: &mut Problems) -> Self {
        let Some(entry) = entry else { return Self::default() };
        let Value::Mapping(policies) = &entry.value.value else {
            problems.report(
                scalar::wrong_type(entry, "a mapping")
                    .help("write it like `policies: { patient: { timeout: 5m } }`"),
            );
            return Self::default();
        };
        let policies = policies.iter().filter_map(|policy| {
            let fields = DefinitionFields::of(&policy.value, &POLICY, problems)?;
            Some((policy.key.as_str(), Timing::decode(fields, problems)))
        });
        Self(policies.collect())
    }

    fn find(&self, entry: &Entry, problems: &mut Problems) -> Option<Timing> {
        let name = scalar::text(entry, problems)?;
        let policy = self.0.get(name).copied();
        if policy.is_none() {
            let mut names: Vec<_> = self.0.keys().copied().collect();
            names.sort_unstable();
            let help = suggest::did_you_mean(name, names);
            problems.report(
                Diagnostic::new(
                    code::UNKNOWN_POLICY,
                    entry.value.span.clone(),
                    format!("there is no policy `{name}`"),
                )
                .label("not under `policies`")
                .help(help.unwrap_or_else(|| "define it under `policies`, at the top of the file".into())),
            );
        }
        policy
    }
}

impl<'a> StepDefaults<'a> {
    pub(super) fn of(entry: Option<&Entry>, policies: Policies<'a>, problems: &mut Problems) -> Self {
        let mut defaults = Self { policies, ..Self::default() };
        let Some(fields) = entry.and_then(|entry| DefinitionFields::of(&entry.value, &DEFAULTS, problems))
        else {
            return defaults;
        };
        let exchange = fields.get("exchange").map(|entry| scalar::address(entry, problems));
        defaults.exchange = exchange.map(|exchange| exchange.unwrap_or_default().into());
        defaults.forward = Timing::of(fields, &defaults.policies, problems);
        let compensation = fields.get("compensation");
        if let Some(fields) =
            compensation.and_then(|entry| DefinitionFields::of(&entry.value, &DEFAULT_COMPENSATION, problems))
        {
            defaults.compensation = Timing::of(fields, &defaults.policies, problems);
        }
        defaults
    }

    /// Decodes the patience with a command.
    pub(super) fn forward(&self, fields: DefinitionFields<'_>, problems: &mut Problems) -> Patience {
        let timing = Timing::of(fields, &self.policies, problems).or(self.forward);
        timing.patience(builtin::TIMEOUT, builtin::RETRY)
    }

    /// Decodes the patience with a compensation, whose step has the timeout `timeout`.
    pub(super) fn compensation(
        &self,
        fields: DefinitionFields<'_>,
        timeout: Duration,
        problems: &mut Problems,
    ) -> Patience {
        let timing = Timing::of(fields, &self.policies, problems).or(self.compensation);
        timing.patience(timeout, builtin::COMPENSATION_RETRY)
    }
}
