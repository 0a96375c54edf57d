//! Interventions of operators: the caller and the reason are audited in the same transaction, and a preview shows the
//! consequences.

use std::sync::Arc;

use uuid::Uuid;

use crate::definitions::{self, Definitions, computing};
use crate::lane::audit::AuditContext;
use crate::lane::request::{Accepted, SubmitError, SubmitOptions};
use crate::lane::submitter::Submitter;
use crate::queries::Queries;
use crate::queries::view::SagaView;
use snorri_core::input::Migrate;
use snorri_core::journal::By;
use snorri_core::migration::{self, Obstacle};
use snorri_core::restart::{self, CannotRestart};
use snorri_core::{Decision, Input, Rejection, SagaId, State, StepPath, journal, transition};
use snorri_definition::Compiled;
use snorri_ports::clock::Clock;
use snorri_ports::store;

/// The consequences that an input would have.
#[derive(Debug)]
pub struct Preview {
    pub decision: Decision,
    /// The definition that the saga runs then.
    pub compiled: Arc<Compiled>,
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Definition(definitions::Error),
    #[error(transparent)]
    Restart(#[from] CannotRestart),
    /// Completed steps would be executed again without a request for that.
    #[error(
        "{} completed and would be done again, with another message id, so that participants do not recognise the \
         repetition. If that is meant, ask for it: `repeat_completed`, or `--repeat-completed` on the command line",
        names(.0)
    )]
    WouldRepeat(Vec<StepPath>),
    /// Events find their saga by its business key, and that belongs to the other saga.
    #[error("sagas of this definition listen for events, which would not find a new saga: start one instead")]
    ListensForEvents,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A restarted saga.
#[derive(Debug)]
pub struct Restarted {
    /// Its start.
    pub preview: Preview,
    /// `false`: the same request was made before.
    pub is_new: bool,
    /// The completed steps that are executed again.
    pub repeated: Vec<StepPath>,
}

/// A saga that is about to be restarted.
struct Prepared {
    id: SagaId,
    started: journal::Started,
    compiled: Arc<Compiled>,
    repeated: Vec<StepPath>,
}

/// Whether a saga can continue with another version.
#[derive(Debug)]
pub struct Migration {
    pub from: u32,
    pub to: u32,
    /// Empty: it can.
    pub obstacles: Vec<Obstacle>,
    pub seq: u32,
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

/// The code of an obstacle that the core cannot find: it has no schemas of inputs.
const INPUT_SCHEMA: &str = "input_schema";

/// The obstacles to a saga continuing with another version.
pub(crate) fn obstacles(from: &Compiled, to: &Compiled, state: &State) -> Vec<Obstacle> {
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

/// Tries and executes interventions.
#[derive(Debug)]
pub struct Interventions {
    pub(crate) submitter: Submitter,
    pub(crate) queries: Arc<Queries>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Interventions {
    /// Decides about an input without changing anything.
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
        let decide = || transition(&compiled.definition, &state, input, self.clock.now());
        let decision = computing::decide(&compiled, &state, decide).map_err(SubmitError::from)?;
        let compiled = match input {
            Input::Migrate(migrate) => self.version(&migrate.to.name, migrate.to.version).await?,
            _ => compiled,
        };
        Ok(Preview { decision, compiled })
    }

    /// Checks whether a saga can continue with `version` of its definition; migrates it if so, unless this is a preview.
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
                Ok(_) | Err(Refusal::Submit(SubmitError::Rejected(Rejection::NotSafe(_)))) => {}
                Err(refusal) => return Err(refusal),
            }
        } else if migration.obstacles.iter().any(|obstacle| obstacle.code == INPUT_SCHEMA) {
            return Err(SubmitError::Rejected(Rejection::NotSafe(migration.obstacles)).into());
        } else {
            let audit = Some(AuditContext { action: "migrate", step: None, by });
            let options = SubmitOptions { expected, audit, ..SubmitOptions::of_request() };
            migration.seq = self.submitter.submit_on(options, saga, input).await?.seq;
        }
        Ok(migration)
    }

    /// Starts a saga that continues from a step of one that has ended, with the outputs of the steps before it. The same
    /// request leads to the same saga. Without a caller it is a preview. Steps that completed and were not compensated are
    /// executed again only with `repeat_completed`.
    pub async fn restart(
        &self,
        saga: SagaId,
        from: &str,
        repeat_completed: bool,
        options: SubmitOptions,
    ) -> Result<Restarted, Refusal> {
        let Prepared { id, started, compiled, repeated } =
            self.restarted(saga, from, options.expected).await?;
        if !repeated.is_empty() && !repeat_completed {
            return Err(Refusal::WouldRepeat(repeated));
        }
        let options = SubmitOptions { expected: None, ..options };
        let input = Input::Start(Box::new(started));
        let decide = || transition(&compiled.definition, &State::new(id), &input, self.clock.now());
        let decision = computing::decide(&compiled, &State::new(id), decide).map_err(SubmitError::from)?;
        let preview = Preview { decision, compiled };
        if options.audit.is_none() {
            return Ok(Restarted { preview, is_new: self.queries.row(id).await?.is_none(), repeated });
        }
        match self.submitter.submit_on(options, id, input).await {
            Ok(Accepted { .. }) => Ok(Restarted { preview, is_new: true, repeated }),
            Err(SubmitError::Rejected(Rejection::AlreadyStarted { .. })) => {
                Ok(Restarted { preview, is_new: false, repeated })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Prepares the restart of a saga.
    async fn restarted(&self, saga: SagaId, from: &str, expected: Option<u32>) -> Result<Prepared, Refusal> {
        let SagaView { state, compiled, .. } = self.existing(saga).await?;
        if expected.is_some_and(|expected| expected != state.seq) {
            return Err(SubmitError::Changed { seq: state.seq }.into());
        }
        let definition = &compiled.definition;
        if definition.events().next().is_some() {
            return Err(Refusal::ListensForEvents);
        }
        self.definitions.check_usable(&compiled).map_err(Refusal::Definition)?;
        let carried = restart::carry(definition, &state, from)?;
        let first = state.started.as_deref().ok_or(SubmitError::Rejected(Rejection::UnknownSaga))?;
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
            inherited: Some(carried),
        };
        let id = SagaId(Uuid::new_v5(&saga.0, format!("restart/{from}").as_bytes()));
        let repeated = restart::repeated(definition, &state, from);
        Ok(Prepared { id, started, compiled, repeated })
    }

    async fn existing(&self, saga: SagaId) -> Result<SagaView, Refusal> {
        Ok(self.queries.view(saga).await?.ok_or(SubmitError::Rejected(Rejection::UnknownSaga))?)
    }

    async fn version(&self, name: &str, version: u32) -> Result<Arc<Compiled>, Refusal> {
        self.definitions.find(name, Some(version)).await.map_err(|error| match error {
            definitions::Error::Store(error) => Refusal::Store(error),
            error => Refusal::Definition(error),
        })
    }
}
