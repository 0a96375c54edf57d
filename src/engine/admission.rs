//! Definitions come in: registered for somebody, or taken up from other processes; and what they need is declared.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::Engine;
use super::definitions::{self, Reload};
use super::exchanges::{Inspector, Which};
use super::registration::Registration;
use crate::catalog::{Compiled, Diagnostics};
use crate::saga::journal::By;

impl Engine {
    /// Registers a definition for somebody, and declares what it needs. One whose exchanges cannot be used is refused; if the
    /// broker does not answer, that is a warning.
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

    /// Takes up definitions that another process has registered, and declares what they need. Looks are at least
    /// [`definitions::RELOAD_PAUSE`] apart, and all who ask at once share one, so that unknown names and events cost the
    /// database nothing more.
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

    pub(super) async fn declare(&self, which: Which) {
        let declared = self.definitions().declare_some(self.broker(), &self.wire().names, which).await;
        if let Err(error) = declared {
            // It is tried again after some seconds.
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot declare what definitions need");
        }
    }
}
