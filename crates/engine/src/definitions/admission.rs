//! Admission of definitions: registers them, loads those of other processes, and declares what they need.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::Engine;
use crate::definitions::exchanges::{Inspector, Which};
use crate::definitions::registration::Registration;
use crate::definitions::{self, Reload};
use snorri_core::journal::By;
use snorri_definition::{Compiled, Diagnostics};

impl Engine {
    /// Registers a definition on request, and declares what it needs. A definition whose exchanges cannot be used is refused;
    /// if the broker does not answer, that is a warning.
    pub async fn register(
        &self,
        file: &str,
        source: &str,
        files: &BTreeMap<String, String>,
        by: &By,
    ) -> Result<Registration, definitions::Error> {
        let now = self.clock().now();
        let definitions = self.definitions();
        let (compiled, mut findings) = definitions.compile_and_check(file, source, files).await?;
        let mut known = None;
        if !definitions.has_version(&compiled) {
            let (found, exchanges) = definitions.admit(self.broker(), &self.wire().names, &compiled).await?;
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
        let (compiled, mut findings) = self.definitions().check(file, source, files).await?;
        let exchanges = Inspector::new(self.broker()).findings(&compiled, &self.wire().names).await;
        findings.extend(exchanges.list);
        if findings.errors() > 0 {
            Err(definitions::Error::Invalid(findings))
        } else {
            Ok((compiled, findings))
        }
    }

    /// Loads definitions that another process has registered, and declares what they need. Two loads are at least
    /// [`definitions::RELOAD_PAUSE`] apart, and concurrent callers share one, so unknown names and events add no load to the
    /// database.
    pub async fn refresh(&self) -> Result<(), definitions::Error> {
        let asked_at = Instant::now();
        let mut last = self.0.reload.lock().await;
        if let Some(reload) = last.as_ref() {
            if reload.began >= asked_at {
                return reload.result();
            }
            tokio::time::sleep_until(reload.began + definitions::RELOAD_PAUSE).await;
        }
        let began = Instant::now();
        let loaded = self.definitions().load().await;
        *last = Some(Reload { began, failure: loaded.as_ref().err().map(ToString::to_string) });
        drop(last);
        if loaded? {
            self.declare(Which::Unchecked).await;
        }
        Ok(())
    }

    pub(crate) async fn declare(&self, which: Which) {
        let declared = self.definitions().declare_some(self.broker(), &self.wire().names, which).await;
        if let Err(error) = declared {
            // This is repeated after some seconds.
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot declare what definitions need");
        }
    }
}
