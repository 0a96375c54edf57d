//! Waiting for the database and the broker when the process starts.
//!
//! The start waits for a part that does not answer, logs each reason once, and the probes answer meanwhile. A refusal (a wrong
//! password, no such database) ends the start with the reason.

use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;
use tokio::time::Instant;

use crate::http::Readiness;
use snorri_engine::definitions;
use snorri_engine::timers::token_keys;
use snorri_ports::addresses::{Addresses, Shown};
use snorri_ports::broker;
use snorri_ports::store;
use snorri_store::ConnectError;

/// The pauses between two attempts: each is twice as long as the previous one.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long a start waits for a part that does not answer: a duration such as `30s`, or `forever`. `0s` is one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WaitFor(Option<Duration>);

impl TryFrom<String> for WaitFor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "forever" => Ok(Self(None)),
            "0" => Ok(Self(Some(Duration::ZERO))),
            text => humantime::parse_duration(text)
                .map(|duration| Self(Some(duration)))
                .map_err(|error| format!("`{text}` is neither a duration like `30s` nor `forever`: {error}")),
        }
    }
}

/// Why a part cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct StartupFailure {
    /// Waiting does not help: an operator has to change something.
    is_permanent: bool,
    reason: String,
}

impl StartupFailure {
    fn passing(reason: impl Into<String>) -> Self {
        Self { is_permanent: false, reason: reason.into() }
    }

    fn permanent(reason: impl Into<String>) -> Self {
        Self { is_permanent: true, reason: reason.into() }
    }

    /// The failure of the broker at these addresses.
    pub fn of_broker(error: &broker::Error, addresses: &Addresses) -> Self {
        let places: Vec<_> = addresses.iter().map(|url| Shown(url).to_string()).collect();
        let place = places.join(", ");
        match error {
            broker::Error::Unavailable(reason) => Self::passing(format!("{place}: {reason}")),
            broker::Error::Refused(reason) => Self::permanent(format!("{place}: {reason}")),
        }
    }
}

impl From<ConnectError> for StartupFailure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unavailable(reason) => Self::passing(reason),
            ConnectError::Refused(reason) => Self::permanent(reason),
        }
    }
}

impl From<store::Error> for StartupFailure {
    fn from(error: store::Error) -> Self {
        let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        let reason = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        match error {
            store::Error::Unavailable(_) | store::Error::Exhausted(_) | store::Error::Conflict => {
                Self::passing(reason)
            }
            store::Error::Invalid(_) | store::Error::Corrupt(_) | store::Error::Newer(_) => {
                Self::permanent(reason)
            }
        }
    }
}

impl From<token_keys::Error> for StartupFailure {
    fn from(error: token_keys::Error) -> Self {
        match error {
            token_keys::Error::Store(error) => error.into(),
            error => Self::permanent(error.to_string()),
        }
    }
}

impl From<definitions::Error> for StartupFailure {
    fn from(error: definitions::Error) -> Self {
        match error {
            definitions::Error::Store(error) => error.into(),
            error => Self::permanent(error.to_string()),
        }
    }
}

/// One start of the process.
#[derive(Debug, Clone)]
pub struct Startup {
    /// The end of the wait. `None`: never.
    until: Option<Instant>,
    /// Whether each part is tried only once, without a time limit.
    is_impatient: bool,
    readiness: Readiness,
}

impl Startup {
    pub fn begin(wait_for: WaitFor, readiness: Readiness) -> Self {
        let is_impatient = wait_for.0.is_some_and(|duration| duration.is_zero());
        // A time beyond the range of `Instant` counts as never.
        let until = wait_for.0.and_then(|duration| Instant::now().checked_add(duration));
        Self { until, is_impatient, readiness }
    }

    /// Retries until `part` is available, and reports the reason while it is not.
    ///
    /// # Errors
    ///
    /// If the part refuses, or is not available in time. The message has the reason.
    pub async fn reach<T>(
        &self,
        part: &'static str,
        try_once: impl AsyncFn() -> Result<T, StartupFailure>,
    ) -> anyhow::Result<T> {
        let mut pause = PAUSE_MIN;
        let mut last: Option<String> = None;
        loop {
            let failure = match self.in_time(try_once()).await {
                Some(Ok(reached)) => {
                    if last.is_some() {
                        tracing::info!("the {part} is available");
                    }
                    self.readiness.reached(part);
                    return Ok(reached);
                }
                Some(Err(failure)) => failure,
                None => StartupFailure::passing(last.as_deref().unwrap_or("no answer in time")),
            };
            let StartupFailure { is_permanent, reason } = failure;
            if is_permanent {
                bail!("the {part} cannot be used: {reason}");
            }
            if self.is_impatient || self.until.is_some_and(|until| Instant::now() + pause >= until) {
                bail!("the {part} is not available: {reason}");
            }
            if last.as_ref() != Some(&reason) {
                tracing::warn!("waiting for the {part}: {reason}");
                self.readiness.wait_for(part, &reason);
                last = Some(reason);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// `None`: it took too long.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.until.filter(|_| !self.is_impatient) {
            Some(until) => tokio::time::timeout_at(until, work).await.ok(),
            None => Some(work.await),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn startup(wait_for: &str) -> Startup {
        let wait_for = WaitFor::try_from(wait_for.to_owned()).expect("valid");
        Startup::begin(wait_for, Readiness::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_answer_is_waited_for() {
        let tries = Cell::new(0);
        let startup = startup("forever");
        let reached = startup.reach("database", async || {
            tries.set(tries.get() + 1);
            if tries.get() < 100 { Err(StartupFailure::passing("not yet")) } else { Ok(tries.get()) }
        });
        assert_eq!(reached.await.expect("reached"), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_bounded_and_a_refusal_ends_it() {
        let began = Instant::now();
        let refused = async || Err::<(), _>(StartupFailure::passing("connection refused"));
        let error = startup("10s").reach("broker", refused).await.expect_err("unavailable");
        assert_eq!(error.to_string(), "the broker is not available: connection refused");
        assert!((9..=10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());

        let began = Instant::now();
        let patient = startup("3s");
        let hanging = patient.reach("broker", async || std::future::pending::<Result<(), _>>().await);
        hanging.await.expect_err("unavailable");
        assert_eq!(began.elapsed().as_secs(), 3);

        for (wait_for, failure) in [
            ("forever", StartupFailure::permanent("wrong password")),
            ("0", StartupFailure::passing("connection refused")),
        ] {
            let failure = Cell::new(Some(failure));
            let once = async || Err::<(), _>(failure.take().expect("it is tried once"));
            startup(wait_for).reach("database", once).await.expect_err("unavailable");
        }
    }
}
