//! Admission of definitions: registers them, loads those of other processes, and declares what they need.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::definitions::exchanges::{Inspector, Recheck, Which};
use crate::definitions::registration::Registration;
use crate::definitions::{self, Definitions};
use crate::supervision::ticks::Ticks;
use snorri_core::journal::By;
use snorri_definition::{Compiled, Diagnostics};
use snorri_ports::broker::Broker;
use snorri_ports::clock::Clock;
use snorri_wire::topology::Names;

/// The interval of looking for what other processes have registered or deactivated.
const REFRESH: Duration = Duration::from_secs(5);

/// Admits definitions into this process.
#[derive(Debug)]
pub struct Admission {
    definitions: Arc<Definitions>,
    broker: Arc<dyn Broker>,
    clock: Arc<dyn Clock>,
    names: Names,
}

impl Admission {
    pub fn new(
        definitions: Arc<Definitions>,
        broker: Arc<dyn Broker>,
        clock: Arc<dyn Clock>,
        names: Names,
    ) -> Self {
        Self { definitions, broker, clock, names }
    }

    /// Loads what other processes have registered or deactivated every few seconds, and checks exchanges again, until `stop` is
    /// cancelled.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = Ticks::new(REFRESH, stop);
        let mut recheck = Recheck::new(self.broker.connections());
        while let Some(is_tick) = ticks.next_unless(self.definitions.loaded.notified()).await {
            if !is_tick {
                self.declare(Which::Unchecked).await;
                continue;
            }
            if let Some(which) = recheck.due(self.broker.connections(), REFRESH) {
                self.declare(which).await;
            }
            if let Err(error) = self.definitions.refresh().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for new definitions");
            }
        }
    }

    /// Registers a definition on request, and declares what it needs. A definition whose exchanges cannot be used is refused;
    /// if the broker does not answer, that is a warning.
    pub async fn register(
        &self,
        file: &str,
        source: &str,
        files: &BTreeMap<String, String>,
        by: &By,
    ) -> Result<Registration, definitions::Error> {
        let now = self.clock.now();
        let definitions = &self.definitions;
        let (compiled, mut findings) = definitions.compile_and_check(file, source, files).await?;
        let mut known = None;
        if !definitions.has_version(&compiled) {
            let (found, exchanges) = definitions.admit(&*self.broker, &self.names, &compiled).await?;
            findings.extend(found.list);
            known = Some(exchanges);
        }
        let is_new = definitions.put(file, &compiled, now, Some(by)).await?;
        if let Some(exchanges) = known {
            let definition = &compiled.definition;
            definitions.replace_exchanges(&definition.name, definition.version, exchanges);
        }
        self.declare(Which::Unchecked).await;
        Ok(Registration { compiled, is_new, findings })
    }

    /// Whether a definition would be registered. Nothing is registered or declared.
    pub async fn check(
        &self,
        file: &str,
        source: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<(Arc<Compiled>, Diagnostics), definitions::Error> {
        let (compiled, mut findings) = self.definitions.check(file, source, files).await?;
        let exchanges = Inspector::new(&*self.broker).findings(&compiled, &self.names).await;
        findings.extend(exchanges.list);
        if findings.errors() > 0 {
            Err(definitions::Error::Invalid(findings))
        } else {
            Ok((compiled, findings))
        }
    }

    async fn declare(&self, which: Which) {
        let declared = self.definitions.declare_some(&*self.broker, &self.names, which).await;
        if let Err(error) = declared {
            // This is repeated after some seconds.
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot declare what definitions need");
        }
    }
}
