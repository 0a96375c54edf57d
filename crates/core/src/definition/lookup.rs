//! Queries on a definition.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::{
    Action, Awaited, Block, Child, CommandAction, Definition, EventPattern, Kind, OnCompensationFailure,
    OnLateReply, OnWaitTimeout, Step, StepIndex, StepKind,
};
use crate::id::{Direction, StepPath};
use crate::journal::{EventSource, Started};

impl Definition {
    /// A definition of `steps` in the order of `body`. Everything else is unset.
    pub fn new(name: &str, version: u32, steps: Vec<Step>, body: Block) -> Self {
        let indexes = (0..steps.len()).map(StepIndex);
        Self {
            name: name.into(),
            version,
            description: None,
            key: None,
            attributes: Vec::new(),
            timeout: None,
            on_late_reply: OnLateReply::default(),
            on_compensation_failure: OnCompensationFailure::default(),
            starts: Vec::new(),
            lifecycle_events: false,
            body,
            output: None,
            output_schema: None,
            by_name: steps.iter().map(|step| Arc::clone(&step.name)).zip(indexes).collect(),
            steps,
        }
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn step_at(&self, index: StepIndex) -> &Step {
        &self.steps[index.0]
    }

    pub fn index_of(&self, name: &str) -> Option<StepIndex> {
        self.by_name.get(name).copied()
    }

    /// The step that stands at `path`, if this definition has it.
    pub fn step(&self, path: &StepPath) -> Option<&Step> {
        self.index_of(path.name()).map(|index| self.step_at(index))
    }

    /// The start of a saga that has an input and nothing else.
    pub fn start(&self, input: Arc<Value>) -> Started {
        Started {
            definition: Arc::clone(&self.name),
            version: self.version,
            key: None,
            input,
            deadline: None,
            answer: None,
            trace_id: None,
            parent: None,
            attributes: BTreeMap::new(),
            inherited: None,
        }
    }

    /// The steps that are child sagas.
    pub fn children(&self) -> impl Iterator<Item = (StepIndex, &Child)> {
        (0..).map(StepIndex).zip(&self.steps).filter_map(|(index, step)| match &step.action {
            Action::Child(child) => Some((index, &**child)),
            _ => None,
        })
    }

    /// All commands, compensations included.
    pub fn commands(&self) -> impl Iterator<Item = &CommandAction> {
        let both = [Direction::Forward, Direction::Compensate];
        self.steps
            .iter()
            .flat_map(move |step| both.into_iter().filter_map(|direction| step.command(direction)))
    }

    /// Whether its sagas can receive events or signals.
    pub fn receives_arrivals(&self) -> bool {
        self.signals().next().is_some() || self.events().next().is_some()
    }

    /// The names of all signals that its sagas wait for.
    pub fn signals(&self) -> impl Iterator<Item = &Arc<str>> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Wait(wait) => match &wait.awaited {
                Awaited::Signal(name) => Some(name),
                Awaited::Event(_) => None,
            },
            _ => None,
        })
    }

    /// All domain events that its sagas listen for.
    pub fn events(&self) -> impl Iterator<Item = &EventPattern> {
        let replies =
            self.commands().flat_map(|command| command.reply_events.iter().map(|reply| &reply.event));
        let waits = self.steps.iter().filter_map(|step| match &step.action {
            Action::Wait(wait) => wait.awaited.event(),
            _ => None,
        });
        replies.chain(waits)
    }
}

impl Block {
    /// Steps one after the other: the first `count` of a definition.
    pub fn in_order(count: usize) -> Self {
        Self::Sequence((0..count).map(StepIndex).map(Self::Step).collect())
    }
}

impl Step {
    pub fn is_pivot(&self) -> bool {
        self.kind == Kind::Pivot
    }

    /// Whether the saga continues after the step without a success.
    pub fn may_miss(&self) -> bool {
        self.optional
            || matches!(&self.action, Action::Wait(wait) if wait.on_timeout == OnWaitTimeout::Continue)
    }

    /// The command that the step sends in this direction, if any.
    pub fn command(&self, direction: Direction) -> Option<&CommandAction> {
        let Action::Command(step) = &self.action else { return None };
        match direction {
            Direction::Forward => Some(&step.command),
            Direction::Compensate => step.compensation.as_ref(),
        }
    }

    /// Whether a step that has happened has to be compensated.
    pub fn has_compensation(&self) -> bool {
        match &self.action {
            Action::Command(step) => step.compensation.is_some(),
            Action::Child(child) => child.compensated,
            _ => false,
        }
    }
}

impl Action {
    pub fn kind(&self) -> StepKind {
        match self {
            Self::Command(_) => StepKind::Command,
            Self::Choice(_) => StepKind::Choice,
            Self::ForEach(_) => StepKind::ForEach,
            Self::Wait(_) => StepKind::Wait,
            Self::Sleep(_) => StepKind::Sleep,
            Self::Child(_) => StepKind::Saga,
            Self::Publish(_) => StepKind::Publish,
            Self::Fail { .. } => StepKind::Fail,
        }
    }
}

impl StepKind {
    pub const ALL: [Self; 8] = [
        Self::Command,
        Self::Choice,
        Self::ForEach,
        Self::Wait,
        Self::Sleep,
        Self::Saga,
        Self::Publish,
        Self::Fail,
    ];

    /// The key in definitions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Choice => "choice",
            Self::ForEach => "for_each",
            Self::Wait => "wait",
            Self::Sleep => "sleep",
            Self::Saga => "saga",
            Self::Publish => "publish",
            Self::Fail => "fail",
        }
    }

    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == key)
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Child {
    /// Whether the child is a saga of this definition.
    pub fn is_of(&self, definition: &Definition) -> bool {
        self.definition == definition.name && self.version == definition.version
    }
}

impl EventPattern {
    pub fn source(&self) -> EventSource {
        EventSource::Event { exchange: Arc::clone(&self.exchange), event: Arc::clone(&self.event) }
    }
}

impl Awaited {
    /// The name of the signal or the event.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Signal(name) => name,
            Self::Event(event) => &event.event,
        }
    }

    /// The source that such an event has when it is received.
    pub fn source(&self) -> EventSource {
        match self {
            Self::Signal(name) => EventSource::Signal(Arc::clone(name)),
            Self::Event(event) => event.source(),
        }
    }

    pub fn event(&self) -> Option<&EventPattern> {
        match self {
            Self::Signal(_) => None,
            Self::Event(event) => Some(event),
        }
    }
}
