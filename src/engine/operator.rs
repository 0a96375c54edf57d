//! What people ask of a saga: who they are and why goes into the audit with it, in the same transaction, and what it would
//! lead to can be seen first.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::computing;
use super::dead_letters::Received;
use super::view::SagaView;
use super::work::Accepted;
use super::{Engine, SubmitError, definitions};
use crate::catalog::Compiled;
use crate::saga::input::Migrate;
use crate::saga::journal::By;
use crate::saga::migration::{self, Obstacle};
use crate::saga::restart::{self, CannotRestart};
use crate::saga::{Decision, Ignored, Input, SagaId, State, StepPath, Time, journal, transition};
use crate::store::{self, AuditEntry};

/// Who asks for what, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What is asked for, in a word: `cancel`, `retry`, ...
    pub action: &'static str,
    pub step: Option<StepPath>,
    pub by: By,
}

/// On what terms an input is to be taken in.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Only if the saga's journal has this many entries.
    pub expected: Option<u32>,
    /// Who asks, if somebody does: it is audited.
    pub asked: Option<Asked>,
    /// The message that the input was made of, if it could not be read: it is kept as a dead letter.
    pub unreadable: Option<Box<Received>>,
    /// Whoever asks would rather hear at once that the database is not available than wait for it.
    pub fails_fast: bool,
}

impl Terms {
    /// Those of a request of the admin API, whose caller waits for the answer.
    pub fn of_request() -> Self {
        Self { fails_fast: true, ..Self::default() }
    }
}

/// What an input would lead to.
#[derive(Debug)]
pub struct Preview {
    pub decision: Decision,
    /// What the saga runs then.
    pub compiled: Arc<Compiled>,
}

/// Why something asked for was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Definition(definitions::Error),
    #[error(transparent)]
    Restart(#[from] CannotRestart),
    /// Steps completed that would be done again without a request for that.
    #[error(
        "{} completed and would be done again, with another message id, so that participants do not recognise the \
         repetition. If that is meant, ask for it: `repeat_completed`, or `--repeat-completed` on the command line",
        names(.0)
    )]
    WouldRepeat(Vec<StepPath>),
    /// Events find their saga by its business key, and that is the other one's.
    #[error("sagas of this definition listen for events, which would not find a new saga: start one instead")]
    ListensForEvents,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A saga that goes on from another.
#[derive(Debug)]
pub struct Restarted {
    /// What it begins with.
    pub preview: Preview,
    /// `false`: the same was asked for before.
    pub is_new: bool,
    /// The steps that completed and are done again.
    pub repeated: Vec<StepPath>,
}

/// A saga that is about to restart from another.
struct Prepared {
    id: SagaId,
    started: journal::Started,
    compiled: Arc<Compiled>,
    repeated: Vec<StepPath>,
}

/// Whether a saga can go on with another version.
#[derive(Debug)]
pub struct Migration {
    pub from: u32,
    pub to: u32,
    /// Empty: it can.
    pub obstacles: Vec<Obstacle>,
    pub seq: u32,
}

impl Asked {
    /// Its entry in the audit.
    pub(super) fn entry(&self, before: &State, after: &State, at: Time) -> AuditEntry {
        AuditEntry {
            id: Uuid::now_v7(),
            at,
            actor: self.by.actor.clone(),
            action: self.action.to_owned(),
            reason: self.by.reason.clone(),
            saga: Some(after.id),
            seq: Some(after.seq),
            step: self.step.as_ref().map(ToString::to_string),
            definition: None,
            before: summary(before),
            after: summary(after),
        }
    }
}

/// Most steps that a message names.
const MOST_NAMES: usize = 5;

fn names(steps: &[StepPath]) -> String {
    let mut names: Vec<_> = steps.iter().take(MOST_NAMES).map(|step| format!("`{step}`")).collect();
    if steps.len() > MOST_NAMES {
        names.push(format!("{} more", steps.len() - MOST_NAMES));
    }
    names.join(", ")
}

/// The code of an obstacle that the core cannot see: it knows no schemas of inputs.
const INPUT_SCHEMA: &str = "input_schema";

/// What is in the way of a saga going on with another version.
pub(super) fn obstacles(from: &Compiled, to: &Compiled, state: &State) -> Vec<Obstacle> {
    let mut obstacles = migration::obstacles(&from.definition, &to.definition, state);
    let input = state.started.as_ref().map(|started| &started.input);
    let invalid = input.and_then(|input| to.check_input(input).err());
    obstacles.extend(invalid.into_iter().flatten().map(|error| Obstacle {
        code: INPUT_SCHEMA,
        step: None,
        message: format!("its input does not match the new schema: {error}"),
    }));
    obstacles
}

/// What an operator can change about a saga, in short.
fn summary(state: &State) -> Value {
    if state.seq == 0 {
        return Value::Null;
    }
    let codes: Vec<&str> = state.incidents.iter().map(|incident| incident.problem.code.as_str()).collect();
    json!({
        "status": state.status(),
        "version": state.version(),
        "paused": state.paused.is_some(),
        "incidents": codes,
    })
}

impl Engine {
    /// What the core would decide about an input now. Nothing is changed.
    pub async fn preview(
        &self,
        saga: SagaId,
        input: &Input,
        expected: Option<u32>,
    ) -> Result<Preview, Refusal> {
        let SagaView { state, compiled, .. } = self.existing(saga).await?;
        if expected.is_some_and(|expected| expected != state.seq) {
            return Err(SubmitError::Changed { seq: state.seq }.into());
        }
        let decide = || transition(&compiled.definition, &state, input, self.clock().now());
        let decision = computing::decide(&compiled, &state, decide).map_err(SubmitError::from)?;
        let compiled = match input {
            Input::Migrate(migrate) => self.version(&migrate.to.name, migrate.to.version).await?,
            _ => compiled,
        };
        Ok(Preview { decision, compiled })
    }

    /// Whether a saga can go on with `version` of its definition; if it can, and this is no preview, it does.
    pub async fn migrate(
        &self,
        saga: SagaId,
        version: u32,
        by: By,
        expected: Option<u32>,
        is_preview: bool,
    ) -> Result<Migration, Refusal> {
        let SagaView { state, compiled, .. } = self.existing(saga).await?;
        if expected.is_some_and(|expected| expected != state.seq) {
            return Err(SubmitError::Changed { seq: state.seq }.into());
        }
        let to = self.version(&compiled.definition.name, version).await?;
        let mut migration = Migration {
            from: state.version(),
            to: version,
            obstacles: obstacles(&compiled, &to, &state),
            seq: state.seq,
        };
        let input = Input::Migrate(Box::new(Migrate { to: Arc::clone(&to.definition), by: by.clone() }));
        if is_preview {
            match self.preview(saga, &input, expected).await {
                Ok(_) | Err(Refusal::Submit(SubmitError::Ignored(Ignored::NotSafe(_)))) => {}
                Err(refusal) => return Err(refusal),
            }
        } else if migration.obstacles.iter().any(|obstacle| obstacle.code == INPUT_SCHEMA) {
            return Err(SubmitError::Ignored(Ignored::NotSafe(migration.obstacles)).into());
        } else {
            let asked = Some(Asked { action: "migrate", step: None, by });
            let terms = Terms { expected, asked, ..Terms::of_request() };
            migration.seq = self.submit_on(terms, saga, input).await?.seq;
        }
        Ok(migration)
    }

    /// Starts a saga that goes on from a step of one that has ended, with the outputs of the steps before it. The same request
    /// leads to the same saga. If nobody asks, it is a preview. Steps that completed and were not undone are done again only with
    /// `repeat_completed`.
    pub async fn restart(
        &self,
        saga: SagaId,
        from: &str,
        repeat_completed: bool,
        terms: Terms,
    ) -> Result<Restarted, Refusal> {
        let Prepared { id, started, compiled, repeated } = self.restarted(saga, from, terms.expected).await?;
        if !repeated.is_empty() && !repeat_completed {
            return Err(Refusal::WouldRepeat(repeated));
        }
        let terms = Terms { expected: None, ..terms };
        let input = Input::Start(Box::new(started));
        let decide = || transition(&compiled.definition, &State::new(id), &input, self.clock().now());
        let decision = computing::decide(&compiled, &State::new(id), decide).map_err(SubmitError::from)?;
        let preview = Preview { decision, compiled };
        if terms.asked.is_none() {
            return Ok(Restarted { preview, is_new: self.row(id).await?.is_none(), repeated });
        }
        match self.submit_on(terms, id, input).await {
            Ok(Accepted { .. }) => Ok(Restarted { preview, is_new: true, repeated }),
            Err(SubmitError::Ignored(Ignored::AlreadyStarted { .. })) => {
                Ok(Restarted { preview, is_new: false, repeated })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The saga that restarts from another.
    async fn restarted(&self, saga: SagaId, from: &str, expected: Option<u32>) -> Result<Prepared, Refusal> {
        let SagaView { state, compiled, .. } = self.existing(saga).await?;
        if expected.is_some_and(|expected| expected != state.seq) {
            return Err(SubmitError::Changed { seq: state.seq }.into());
        }
        let definition = &compiled.definition;
        if definition.events().next().is_some() {
            return Err(Refusal::ListensForEvents);
        }
        self.definitions().check_usable(&compiled).map_err(Refusal::Definition)?;
        let carried = restart::carry(definition, &state, from)?;
        let first = state.started.as_deref().ok_or(SubmitError::Ignored(Ignored::UnknownSaga))?;
        let started = journal::Started {
            definition: Arc::clone(&definition.name),
            version: definition.version,
            key: None,
            input: Arc::clone(&first.input),
            attributes: first.attributes.clone(),
            deadline: None,
            answer: None,
            trace_id: first.trace_id.clone(),
            parent: None,
            carried: Some(carried),
        };
        let id = SagaId(Uuid::new_v5(&saga.0, format!("restart/{from}").as_bytes()));
        let repeated = restart::repeated(definition, &state, from);
        Ok(Prepared { id, started, compiled, repeated })
    }

    async fn existing(&self, saga: SagaId) -> Result<SagaView, Refusal> {
        Ok(self.view(saga).await?.ok_or(SubmitError::Ignored(Ignored::UnknownSaga))?)
    }

    async fn version(&self, name: &str, version: u32) -> Result<Arc<Compiled>, Refusal> {
        self.definitions().find(name, Some(version)).await.map_err(|error| match error {
            definitions::Error::Store(error) => Refusal::Store(error),
            error => Refusal::Definition(error),
        })
    }
}
