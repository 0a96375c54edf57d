//! Starts sagas: checks at the edge, and the id that makes a repeated start harmless.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::definitions;
use crate::operations::operator::SubmitOptions;
use crate::{Engine, SubmitError};
use snorri_core::expression::EvaluationError;
use snorri_core::journal::AnswerTo;
use snorri_core::limits::output_bytes;
use snorri_core::message::SagaOutcome;
use snorri_core::{Input, Message, PAYLOAD_LIMITS, Rejection, SagaId, State, journal, transition};
use snorri_core::{json, text};
pub use snorri_definition::InvalidInput;
use snorri_definition::{Compiled, MAX_ATTRIBUTE_BYTES};
use snorri_ports::broker::Published;
use snorri_ports::store;
pub use snorri_wire::envelope::StartRequest;

/// Most attributes of one saga.
const MAX_ATTRIBUTES: usize = 16;
/// Largest input, in bytes, that is checked without a computing thread.
const SMALL_INPUT_BYTES: usize = 8 * 1024;
/// Longest name of an attribute.
const MAX_ATTRIBUTE_NAME: usize = 64;

/// A start that was accepted, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    pub id: SagaId,
    pub key: Option<String>,
    /// `false`: the saga of this key, or of this message, was started before.
    pub is_new: bool,
    /// Whether the earlier start had the same input.
    pub same_input: bool,
    /// Whether the earlier start had the same parent, or had none either.
    pub same_parent: bool,
}

/// The code of a start whose business key belongs to a saga that was started with something else.
pub const KEY_IN_USE: &str = "key_in_use";

impl Started {
    /// Why the start was not accepted, if the saga was started before with another input. `token` is the sender's name for the
    /// text that identifies a repetition where the definition makes no business key.
    pub fn conflict(&self, token: &str) -> Option<String> {
        let what = if self.key.is_some() { "business key" } else { token };
        let reason = || format!("saga {} has this {what}, and was started with another input", self.id);
        (!self.same_input).then(reason)
    }
}

/// Why a saga was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    NotFound(definitions::Error),
    #[error(transparent)]
    Inactive(definitions::Error),
    #[error(transparent)]
    UnusableExchange(definitions::Error),
    #[error(transparent)]
    NotLoaded(definitions::Error),
    /// Too many computations wait: nothing was started.
    #[error(transparent)]
    Busy(definitions::Error),
    #[error("the input does not match the definition's schema: {}", summary(.0))]
    InvalidInput(Vec<InvalidInput>),
    #[error("the input has no business key: {0}")]
    NoKey(#[from] EvaluationError),
    #[error("an attribute of the saga cannot be made from the input: {0}")]
    NoAttribute(EvaluationError),
    #[error("the attributes cannot be taken: {0}")]
    InvalidAttributes(String),
    #[error("there is no input: {0}")]
    NoInput(EvaluationError),
    #[error("the input is refused: {0}")]
    InputRefused(json::Error),
    #[error("the saga of this business key, or of this message, cannot be read: {0}")]
    Unreadable(String),
    #[error("the start cannot be stored: {0}")]
    Invalid(String),
    /// The outcome is sent to the most addresses already.
    #[error(transparent)]
    OutcomeRequest(Rejection),
    #[error(transparent)]
    Store(store::Error),
    /// It may have been started all the same: the same start, repeated, starts it only once if it has a key or a message id.
    #[error("the database does not take the start: {0}. Repeat it later")]
    Unavailable(String),
    #[error("too many messages wait to be sent: start it again later")]
    Overloaded,
    #[error("the engine is stopping: start it again elsewhere, or later")]
    Stopping,
}

impl StartError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(error)
            | Self::Inactive(error)
            | Self::UnusableExchange(error)
            | Self::NotLoaded(error)
            | Self::Busy(error) => error.code(),
            Self::InvalidInput(_) => "invalid_input",
            Self::NoKey(_) => "no_business_key",
            Self::NoAttribute(_) => "no_attribute",
            Self::InvalidAttributes(_) => "invalid_attributes",
            Self::NoInput(_) => "no_input",
            Self::InputRefused(error) => error.reason.code(),
            Self::Unreadable(_) => "unreadable",
            Self::Invalid(_) => "invalid_value",
            Self::OutcomeRequest(ignored) => ignored.code(),
            Self::Store(_) | Self::Unavailable(_) => "store_unavailable",
            Self::Overloaded => "outbox_full",
            Self::Stopping => "stopping",
        }
    }

    /// The errors of the input, as `[{pointer, detail}]`.
    pub fn details(&self) -> Option<Value> {
        let Self::InvalidInput(errors) = self else { return None };
        let place = |error: &InvalidInput| json!({ "pointer": error.path, "detail": error.message });
        Some(errors.iter().map(place).collect())
    }

    /// Whether the same start may be accepted later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Store(_) | Self::Unavailable(_) | Self::Busy(_) | Self::Overloaded | Self::Stopping
        )
    }
}

impl Engine {
    /// Starts a saga, once for each business key. When this returns, the start is committed.
    pub async fn start(&self, request: StartRequest) -> Result<Started, StartError> {
        self.start_on(SubmitOptions::default(), request).await
    }

    /// The same, with options.
    pub async fn start_on(
        &self,
        options: SubmitOptions,
        request: StartRequest,
    ) -> Result<Started, StartError> {
        // A running saga continues, with all its children.
        if self.backlog().is_full() && request.parent.is_none() {
            return Err(StartError::Overloaded);
        }
        let compiled = self.definition_of(&request).await.map_err(|error| match error {
            definitions::Error::Store(store::Error::Invalid(why)) => StartError::Invalid(why),
            definitions::Error::Store(error) => StartError::Store(error),
            error @ definitions::Error::Inactive { .. } => StartError::Inactive(error),
            error @ definitions::Error::UnusableExchange { .. } => StartError::UnusableExchange(error),
            error @ definitions::Error::NotLoaded { .. } => StartError::NotLoaded(error),
            error @ definitions::Error::Busy => StartError::Busy(error),
            error => StartError::NotFound(error),
        })?;
        let (request, made) = self.make_of_input(&compiled, request).await?;
        let FromInput { key, attributes } = made?;
        let id = saga_id(&request, key.as_deref());
        let started = journal::Started {
            key: key.clone(),
            attributes,
            answer: request.answer,
            trace_id: request.trace_id,
            parent: request.parent,
            ..compiled.definition.start(Arc::new(request.input))
        };
        let start = Input::Start(Box::new(started));
        let submitted = match self.reject_repeated(id, &compiled, &start).await {
            Some(rejection) => Err(SubmitError::Rejected(rejection)),
            None => self.submit_on(options, id, start).await,
        };
        match submitted {
            Ok(_) => {
                if compiled.definition.receives_arrivals() {
                    self.deliver_buffered_of_new(id).await;
                }
                Ok(Started { id, key, is_new: true, same_input: true, same_parent: true })
            }
            Err(SubmitError::Rejected(Rejection::AlreadyStarted { same_input, same_parent })) => {
                Ok(Started { id, key, is_new: false, same_input, same_parent })
            }
            Err(SubmitError::Unreadable(why)) => Err(StartError::Unreadable(why)),
            Err(SubmitError::Invalid(why)) => Err(StartError::Invalid(why)),
            Err(SubmitError::Unavailable(why)) => Err(StartError::Unavailable(why)),
            Err(SubmitError::Rejected(_) | SubmitError::Changed { .. } | SubmitError::Stopping) => {
                Err(StartError::Stopping)
            }
        }
    }
}

/// What a definition makes of an input.
struct FromInput {
    key: Option<String>,
    attributes: BTreeMap<String, String>,
}

impl FromInput {
    fn of(compiled: &Compiled, request: &StartRequest) -> Result<Self, StartError> {
        json::check(&request.input, PAYLOAD_LIMITS).map_err(StartError::InputRefused)?;
        compiled.check_input(&request.input).map_err(StartError::InvalidInput)?;
        let key = compiled.key(&request.input)?;
        Ok(Self { key, attributes: attributes(compiled, request)? })
    }
}

impl Engine {
    /// Checks the input, and makes the key and the attributes of it. A large input is handled on a computing thread.
    async fn make_of_input(
        &self,
        compiled: &Arc<Compiled>,
        request: StartRequest,
    ) -> Result<(StartRequest, Result<FromInput, StartError>), StartError> {
        let definition = &compiled.definition;
        let mut templates =
            definition.key.iter().chain(definition.attributes.iter().map(|(_, template)| template));
        let may_take_long =
            templates.any(|template| template.expressions().iter().any(|one| one.may_take_long()));
        if output_bytes(&request.input) <= SMALL_INPUT_BYTES && !may_take_long {
            let made = FromInput::of(compiled, &request);
            return Ok((request, made));
        }
        let compiled = Arc::clone(compiled);
        let make = move || {
            let made = FromInput::of(&compiled, &request);
            (request, made)
        };
        let made = self.definitions().pools.inputs.run(make).await;
        made.map_err(|error| StartError::Busy(error.into()))
    }

    /// Registers one more address for the outcome of a saga. If the saga has ended, returns the outcome, which the caller must
    /// send.
    pub async fn request_outcome(
        &self,
        saga: SagaId,
        to: AnswerTo,
    ) -> Result<Option<SagaOutcome>, StartError> {
        // A saga that has ended needs no lane.
        if let Some(outcome) = self.outcome(saga, to.clone()).await? {
            return Ok(Some(outcome));
        }
        match self.submit(saga, Input::OutcomeRequest(to.clone())).await {
            Ok(_) | Err(SubmitError::Rejected(Rejection::Duplicate)) => Ok(None),
            // `None`: it was deleted meanwhile, or is running again because its parent wants it compensated.
            Err(SubmitError::Rejected(Rejection::Ended)) => {
                self.outcome(saga, to).await?.map(Some).ok_or(StartError::Stopping)
            }
            Err(SubmitError::Rejected(ignored)) => Err(StartError::OutcomeRequest(ignored)),
            Err(SubmitError::Unreadable(why)) => Err(StartError::Unreadable(why)),
            Err(SubmitError::Invalid(why)) => Err(StartError::Invalid(why)),
            Err(SubmitError::Unavailable(why)) => Err(StartError::Unavailable(why)),
            Err(SubmitError::Changed { .. } | SubmitError::Stopping) => Err(StartError::Stopping),
        }
    }

    /// The outcome of a saga that has ended.
    async fn outcome(&self, saga: SagaId, to: AnswerTo) -> Result<Option<SagaOutcome>, StartError> {
        let state = self.load_state(saga).await.map_err(|error| match error {
            store::Error::Corrupt(why) => StartError::Unreadable(why),
            error => StartError::Store(error),
        })?;
        Ok(transition::outcome_for(&state, to, self.clock().now()))
    }

    /// The rejection of a start whose saga ended lately in this process. It does not go through the lane, where a whole batch
    /// would wait for the journal. `None`: it has to, because the saga is not known to have ended or cannot be loaded now.
    async fn reject_repeated(&self, saga: SagaId, compiled: &Compiled, start: &Input) -> Option<Rejection> {
        if !self.0.ended.contains(saga) {
            return None;
        }
        let state = self.load_state(saga).await.ok()?;
        let decision = transition::transition(&compiled.definition, &state, start, self.clock().now());
        let rejection = decision.err()?;
        self.metrics().observe_rejected(&rejection);
        Some(rejection)
    }

    async fn load_state(&self, saga: SagaId) -> Result<State, store::Error> {
        let journal = self.store().load(&[saga]).await?.take(saga)?;
        Ok(State::replay(saga, &journal))
    }

    /// Sends an outcome that is in no outbox.
    pub async fn publish_outcome(&self, outcome: SagaOutcome) -> Published {
        let message = Message::Outcome(outcome);
        let Some(publication) = self.wire().publication(&message) else {
            return Published::Unroutable;
        };
        match self.broker().publish(vec![publication]).await[..] {
            [published] => published,
            _ => Published::Unknown,
        }
    }

    async fn definition_of(&self, request: &StartRequest) -> Result<Arc<Compiled>, definitions::Error> {
        let (name, version) = (&request.definition, request.version);
        if request.parent.is_some() {
            // A running saga may start its children, whether or not other sagas can be started.
            return self.definitions().find(name, version).await;
        }
        match self.definitions().find_to_start(name, version).await {
            Err(definitions::Error::NotFound { .. }) => {
                // Another process may just have registered it.
                self.refresh().await?;
                self.definitions().find_to_start(name, version).await
            }
            found => found,
        }
    }
}

/// Given by the business key; without one by the message id of the start, so that its repetition is recognised; without that
/// every start is another saga.
fn saga_id(request: &StartRequest, key: Option<&str>) -> SagaId {
    match (key, &request.message_id) {
        (Some(key), _) => SagaId::of_key(&request.definition, key),
        (None, Some(message_id)) => SagaId::of_message(&request.definition, message_id),
        (None, None) => SagaId(Uuid::now_v7()),
    }
}

/// The attributes that the definition makes of the input, and those of the request.
fn attributes(compiled: &Compiled, request: &StartRequest) -> Result<BTreeMap<String, String>, StartError> {
    let mut attributes = compiled.attributes(&request.input).map_err(StartError::NoAttribute)?;
    attributes.extend(request.attributes.clone());
    let is_right = |(name, value): &(&String, &String)| {
        (1..=MAX_ATTRIBUTE_NAME).contains(&name.len())
            && value.len() <= MAX_ATTRIBUTE_BYTES
            && !name.chars().chain(value.chars()).any(text::is_invisible)
    };
    if !request.attributes.iter().all(|pair| is_right(&pair)) {
        let most = format!("at most {MAX_ATTRIBUTE_NAME} bytes, and values of at most {MAX_ATTRIBUTE_BYTES}");
        return Err(StartError::InvalidAttributes(format!(
            "they have names of {most}, without control and format characters"
        )));
    }
    if attributes.len() > MAX_ATTRIBUTES {
        let count = attributes.len();
        return Err(StartError::InvalidAttributes(format!(
            "there are {count} with those of the definition; at most {MAX_ATTRIBUTES} are taken"
        )));
    }
    Ok(attributes)
}

fn summary(errors: &[InvalidInput]) -> String {
    let one = |error: &InvalidInput| {
        format!("{}: {}", if error.path.is_empty() { "/" } else { &error.path }, error.message)
    };
    errors.iter().map(one).collect::<Vec<_>>().join("; ")
}
