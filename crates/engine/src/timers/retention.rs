//! Retention: after a time, which each definition may set, sagas that have ended are archived to files and deleted. Dead
//! letters are deleted by age and number.
//!
//! An archive has one line of JSON for each saga, and is on disk before anything is deleted, so that a crash in between
//! archives a saga twice and never loses it. Batches are small, with a pause after each, so that other work is not delayed.

use std::collections::{BTreeMap, HashMap};
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::definitions::Definitions;
use crate::metrics::Metrics;
use crate::supervision::ticks::Ticks;
use snorri_core::{Entry, SagaId, State, Time};
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, ExpiredLetters, Store};

/// Sagas, or dead letters, of one batch.
const BATCH: u32 = 200;
/// Batches of one definition, or of one kind of dead letters, before the turn of the next.
const ROUNDS: u32 = 50;
/// The pause after each batch.
const PAUSE: Duration = Duration::from_millis(100);

/// The permissions of an archive.
const PRIVATE: u32 = 0o600;

/// How long ended sagas are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// For definitions without an entry of their own; forever, if it is `never`.
    pub retention_period: Keep,
    /// For definitions by name.
    #[serde(default)]
    pub definitions: BTreeMap<String, Keep>,
    /// The directory of the archives. Without it sagas are only deleted.
    pub archive: Option<PathBuf>,
    /// How long dead letters are kept, resolved or not.
    pub dead_letters: Keep,
    /// How long dead letters are kept once they are resolved.
    pub resolved_dead_letters: Keep,
    /// The most dead letters; the oldest are deleted.
    pub max_dead_letters: u32,
    /// The interval of looking for sagas and dead letters to delete.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
}

/// A period such as `30d`, or `never`: do not delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Keep(Option<Duration>);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("cannot write the archive {}: {source}", path.display())]
    Archive { path: PathBuf, source: io::Error },
}

impl Keep {
    pub const FOREVER: Self = Self(None);

    pub fn of(duration: Duration) -> Self {
        Self(Some(duration))
    }
}

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "never" => Ok(Self::FOREVER),
            text => humantime::parse_duration(text)
                .map(Self::of)
                .map_err(|error| format!("`{text}` is neither a duration like `30d` nor `never`: {error}")),
        }
    }
}

impl Options {
    fn keep(&self, definition: &str) -> Keep {
        self.definitions.get(definition).copied().unwrap_or(self.retention_period)
    }
}

/// How far each definition's sagas have been scanned: by the time of their start and their id. Those that must stay are scanned
/// again in the next pass.
type Positions = HashMap<String, (Time, SagaId)>;

/// Applies the options.
#[derive(Debug)]
pub(crate) struct Retention {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) options: Options,
}

impl Retention {
    /// Archives and deletes what is old enough, until `stop` is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = Ticks::new(self.options.interval, stop.clone());
        let mut positions = Positions::new();
        while ticks.next().await {
            if let Err(error) = self.sweep(&mut positions, &stop).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot archive what has ended");
            }
            if let Err(error) = self.sweep_dead_letters(&stop).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot delete old dead letters");
            }
        }
    }

    async fn sweep(&self, positions: &mut Positions, stop: &CancellationToken) -> Result<(), Error> {
        let mut names: Vec<_> =
            self.definitions.all().iter().map(|compiled| compiled.definition.name.to_string()).collect();
        names.dedup();
        for name in names {
            let Keep(Some(keep)) = self.options.keep(&name) else { continue };
            for _ in 0..ROUNDS {
                let before = self.clock.now().before(keep);
                let after = positions.get(&name).copied();
                let sagas = self.store.finished_before(&name, before, after, BATCH).await?;
                match sagas.last().filter(|_| sagas.len() >= BATCH as usize) {
                    Some(last) => positions.insert(name.clone(), *last),
                    None => positions.remove(&name),
                };
                let sagas: Vec<_> = sagas.into_iter().map(|(_, saga)| saga).collect();
                let deleted = self.put_away(&name, &sagas).await?;
                if deleted > 0 {
                    tracing::info!(definition = name, deleted, "old sagas are archived and deleted");
                }
                if !positions.contains_key(&name) || stop.is_cancelled() {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// Deletes dead letters that are too old, and the oldest if there are too many.
    async fn sweep_dead_letters(&self, stop: &CancellationToken) -> Result<(), store::Error> {
        let now = self.clock.now();
        let Keep(all) = self.options.dead_letters;
        let Keep(resolved) = self.options.resolved_dead_letters;
        let resolved = resolved.map(|keep| ("resolved", ExpiredLetters::ResolvedBefore(now.before(keep))));
        let expired = all.map(|keep| ("expired", ExpiredLetters::Before(now.before(keep))));
        let surplus = ("surplus", ExpiredLetters::Beyond(self.options.max_dead_letters));
        for (reason, which) in resolved.into_iter().chain(expired).chain([surplus]) {
            let deleted = self.delete_dead_letters(which, stop).await?;
            if deleted == 0 {
                continue;
            }
            self.metrics.observe_deleted_letters(reason, deleted);
            let most = self.options.max_dead_letters;
            match which {
                ExpiredLetters::Beyond(_) => tracing::warn!(
                    deleted,
                    most,
                    "there are more dead letters than `max_dead_letters`: the oldest are deleted"
                ),
                _ => tracing::info!(deleted, reason, "old dead letters are deleted"),
            }
        }
        Ok(())
    }

    async fn delete_dead_letters(
        &self,
        which: ExpiredLetters,
        stop: &CancellationToken,
    ) -> Result<u64, store::Error> {
        let mut total = 0;
        for _ in 0..ROUNDS {
            let deleted = self.store.delete_dead_letters(which, BATCH).await?;
            total += deleted;
            if deleted < u64::from(BATCH) || stop.is_cancelled() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(total)
    }

    async fn put_away(&self, definition: &str, sagas: &[SagaId]) -> Result<u64, Error> {
        let mut loaded = self.store.load(sagas).await?;
        let (mut free, mut journals) = (Vec::with_capacity(sagas.len()), Vec::with_capacity(sagas.len()));
        for saga in sagas {
            // An unreadable journal cannot be archived, and stays.
            let Ok(journal) = loaded.take(*saga) else { continue };
            if !self.is_needed(*saga, &journal).await? {
                free.push(*saga);
                journals.push(journal);
            }
        }
        if let Some(directory) = self.options.archive.as_ref().filter(|_| !free.is_empty()) {
            let mut lines = Vec::new();
            for (saga, journal) in free.iter().zip(&journals).filter(|(_, journal)| !journal.is_empty()) {
                // Writing to memory does not fail, and values that were read from JSON can be written as JSON.
                let _ = serde_json::to_writer(&mut lines, &line(*saga, definition, journal));
                lines.push(b'\n');
            }
            let path = directory.join(definition).join(format!("{}.jsonl", day(self.clock.now())));
            append(path, lines).await?;
        }
        Ok(self.store.delete_sagas(&free).await?)
    }

    /// Whether the parent of this saga has not ended: it may have this one compensated.
    async fn is_needed(&self, saga: SagaId, journal: &[Entry]) -> Result<bool, store::Error> {
        let state = State::replay(saga, journal);
        let Some(parent) = state.started.as_ref().and_then(|started| started.parent.as_ref()) else {
            return Ok(false);
        };
        let parent = self.store.saga(parent.saga).await?;
        Ok(parent.is_some_and(|parent| !parent.status.is_final()))
    }
}

fn line(saga: SagaId, definition: &str, journal: &[Entry]) -> Value {
    json!({ "saga": saga, "definition": definition, "journal": journal })
}

fn day(now: Time) -> String {
    DateTime::<Utc>::from_timestamp_millis(now.0).unwrap_or_default().format("%Y-%m-%d").to_string()
}

async fn append(path: PathBuf, lines: Vec<u8>) -> Result<(), Error> {
    let failed = |source| Error::Archive { path: path.clone(), source };
    let target = path.clone();
    let written = tokio::task::spawn_blocking(move || append_now(&target, &lines)).await;
    written.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)
}

/// Appends to a file. When this returns, the lines are on disk, readable by the user of this process only: they have the
/// payloads of sagas.
fn append_now(path: &Path, lines: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path)?;
    if file.metadata()?.permissions().mode() & 0o777 != PRIVATE {
        // An earlier release created it.
        file.set_permissions(Permissions::from_mode(PRIVATE))?;
    }
    file.write_all(lines)?;
    file.sync_all()
}
