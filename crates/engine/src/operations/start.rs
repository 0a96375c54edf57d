//! Starts sagas: checks at the edge, and the id that makes a repeated start harmless.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::definitions::{self, Definitions};
use crate::event_buffer::EventBuffer;
use crate::lane::ended::EndedSagas;
use crate::lane::request::{SubmitError, SubmitOptions};
use crate::lane::submitter::Submitter;
use crate::metrics::Metrics;
use crate::operations::load_state;
use crate::operations::start_error::StartError;
use crate::outbox::backlog::Backlog;
use snorri_core::json::approximate_bytes;
use snorri_core::{Input, PAYLOAD_LIMITS, Rejection, SagaId, journal, transition};
use snorri_core::{json, text};
use snorri_definition::{Compiled, MAX_ATTRIBUTE_BYTES};
use snorri_ports::clock::Clock;
use snorri_ports::store::{self, Store};
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

/// Starts sagas.
#[derive(Debug)]
pub struct Starter {
    pub(crate) submitter: Submitter,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) event_buffer: Arc<EventBuffer>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) ended: EndedSagas,
}

impl Starter {
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
        if self.backlog.is_full() && request.parent.is_none() {
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
        let id = SagaId::of_start(&request.definition, key.as_deref(), request.message_id.as_deref());
        let id = id.unwrap_or_else(|| SagaId(Uuid::now_v7()));
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
            None => self.submitter.submit_on(options, id, start).await,
        };
        match submitted {
            Ok(_) => {
                if compiled.definition.receives_arrivals() {
                    self.event_buffer.deliver_to_new(id).await;
                }
                Ok(Started { id, key, is_new: true, same_input: true, same_parent: true })
            }
            Err(SubmitError::Rejected(Rejection::AlreadyStarted { same_input, same_parent })) => {
                Ok(Started { id, key, is_new: false, same_input, same_parent })
            }
            Err(error) => Err(error.into()),
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

impl Starter {
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
        if approximate_bytes(&request.input) <= SMALL_INPUT_BYTES && !may_take_long {
            let made = FromInput::of(compiled, &request);
            return Ok((request, made));
        }
        let compiled = Arc::clone(compiled);
        let make = move || {
            let made = FromInput::of(&compiled, &request);
            (request, made)
        };
        let made = self.definitions.pools.inputs.run(make).await;
        made.map_err(|error| StartError::Busy(error.into()))
    }

    /// The rejection of a start whose saga ended lately in this process. It does not go through the lane, where a whole batch
    /// would wait for the journal. `None`: it has to, because the saga is not known to have ended or cannot be loaded now.
    async fn reject_repeated(&self, saga: SagaId, compiled: &Compiled, start: &Input) -> Option<Rejection> {
        if !self.ended.contains(saga) {
            return None;
        }
        let state = load_state(&*self.store, saga).await.ok()?;
        let decision = transition::transition(&compiled.definition, &state, start, self.clock.now());
        let rejection = decision.err()?;
        self.metrics.observe_rejected(&rejection);
        Some(rejection)
    }

    async fn definition_of(&self, request: &StartRequest) -> Result<Arc<Compiled>, definitions::Error> {
        let (name, version) = (&request.definition, request.version);
        if request.parent.is_some() {
            // A running saga may start its children, whether or not other sagas can be started.
            return self.definitions.find(name, version).await;
        }
        match self.definitions.find_to_start(name, version).await {
            Err(definitions::Error::NotFound { .. }) => {
                // Another process may just have registered it.
                self.definitions.refresh().await?;
                self.definitions.find_to_start(name, version).await
            }
            found => found,
        }
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
