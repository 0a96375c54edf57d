//! The transition system of the model check: the abstraction, its surroundings, and the stimuli and decisions of each state.

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use crate::model_check::Surroundings;
use crate::model_check::abstraction::{Abstraction, Answers};
use crate::model_check::operator::{self, Act};
use crate::model_check::stimulus::{self, NOW, Stimulus, StimulusKind, ends_unaided, under_way};
use snorri_core::Input;
use snorri_core::definition::{Definition, OnLateReply, Step};
use snorri_core::id::{Direction, SagaId, StepPath};
use snorri_core::journal::{Parent, Started};
use snorri_core::state::{Pending, State};
use snorri_core::transition::{Decision, transition};

pub(super) struct System<'a> {
    pub(super) abstraction: Abstraction,
    /// The same definition as another version.
    pub(super) next: Arc<Definition>,
    pub(super) around: &'a Surroundings,
    /// Whether an operator intervenes in every state.
    pub(super) everywhere: bool,
}

impl System<'_> {
    pub(super) fn beginning(&self) -> (State, Answers) {
        (State::new(SagaId(Uuid::from_u128(1))), self.abstraction.no_answers())
    }

    /// The stimuli of a state. Where the order of stimuli makes no difference to the result, only one order is tried:
    /// partial-order reduction (P. Godefroid, "Partial-Order Methods", 1996). Once a saga rolls back, pending operations end
    /// one after the other. And where several operations are pending, the next attempt follows at once: a saga that stops
    /// before the attempt has the same information as one that stops right after it. For the same reason, the return of an
    /// unroutable command, which is published again at once, is no stimulus of its own.
    pub(super) fn stimuli(&self, state: &State) -> Vec<Stimulus> {
        if state.seq == 0 {
            return vec![Stimulus { kind: StimulusKind::Started, of: None }];
        }
        let mut all = stimulus::all(&self.abstraction.definition, state, self.around);
        if state.paused.is_some() {
            all.retain(|one| !one.kind.is_timer() && !one.kind.is_repetition());
            all.push(Act::Resume.on(None));
            return all;
        }
        // A late success is more than a repetition if it raises an incident.
        all.retain(|one| {
            !one.kind.is_repetition() || one.kind == StimulusKind::LateSuccess && self.late_calls()
        });
        if under_way(state) > 1 {
            all.retain(|one| one.kind != StimulusKind::Unroutable);
        }
        let turns_back = state.stopping.is_some() && state.ended.is_none() && !self.awaits_pivot(state);
        let first = all.iter().find(|one| match turns_back {
            true => {
                one.kind != StimulusKind::LateSuccess
                    && Self::awaited(state, one).is_some_and(ends_unaided(state))
            }
            false => {
                let is_backoff = matches!(Self::awaited(state, one), Some(Pending::Retry { .. }));
                one.kind == StimulusKind::Due && is_backoff && under_way(state) > 1
            }
        });
        let Some(first) = first.cloned() else { return all };
        all.retain(|one| match turns_back {
            true => one.kind == StimulusKind::LateSuccess || one.of.is_none() || one.of == first.of,
            false => *one == first,
        });
        all
    }

    /// The stimuli of a state, and the interventions that lead to another state.
    pub(super) fn moves(&self, state: &State) -> Vec<Stimulus> {
        let mut all = self.stimuli(state);
        all.extend(self.choices(state));
        all
    }

    pub(super) fn choices(&self, state: &State) -> Vec<Stimulus> {
        let choices = operator::choices(&self.abstraction.definition, state, self.everywhere);
        choices.into_iter().map(|(act, step)| act.on(step)).collect()
    }

    fn late_calls(&self) -> bool {
        self.abstraction.definition.on_late_reply == OnLateReply::Stuck
    }

    /// The pending operation that a stimulus is about.
    fn awaited(state: &State, stimulus: &Stimulus) -> Option<Pending> {
        let (path, direction) = stimulus.of.as_ref()?;
        state.step(path)?.pending(*direction)
    }

    fn awaits_pivot(&self, state: &State) -> bool {
        state.steps.iter().any(|(path, step)| {
            step.pending(Direction::Forward).is_some()
                && self.abstraction.definition.step(path).is_some_and(Step::is_pivot)
        })
    }

    /// The decisions on a stimulus, one for each combination of answers to the questions that it asks.
    pub(super) fn decisions(
        &self,
        state: &State,
        answers: &Answers,
        stimulus: &Stimulus,
    ) -> Vec<(Decision, Answers)> {
        let mut decisions = Vec::new();
        let mut todo = vec![answers.clone()];
        while let Some(given) = todo.pop() {
            let Some((mut state, input)) = self.to_input(state, &given, stimulus) else { break };
            // The input of the saga has the answers so far; new answers need a new input.
            if given != *answers && state.started.is_some() {
                let input = Arc::new(self.abstraction.input(&given));
                let state = state.to_mut();
                state.started = state.started.take().map(|it| Arc::new(Started { input, ..(*it).clone() }));
            }
            let Ok(decision) = transition(&self.abstraction.definition, &state, &input, NOW) else { break };
            match self.abstraction.branch(&decision.entry.facts, &given) {
                // The stack is popped from its end: the first answer is tried first.
                Some(branches) => todo.extend(branches.into_iter().rev()),
                None => decisions.push((decision, given)),
            }
        }
        decisions
    }

    fn to_input<'s>(
        &self,
        state: &'s State,
        answers: &Answers,
        stimulus: &Stimulus,
    ) -> Option<(Cow<'s, State>, Input)> {
        match stimulus.kind {
            StimulusKind::Started => {}
            StimulusKind::Operator(act) => {
                let step = stimulus.of.as_ref().map(|(step, _)| step);
                return Some((Cow::Borrowed(state), act.input(step, &self.next)?));
            }
            _ => return stimulus.to_input(&self.abstraction.definition, state),
        }
        let parent = self.around.is_child.then(|| Parent {
            saga: SagaId(Uuid::from_u128(2)),
            step: StepPath::new("part"),
            attempt: 1,
        });
        let input = Arc::new(self.abstraction.input(answers));
        let started = Started { parent, ..self.abstraction.definition.start(input) };
        Some((Cow::Borrowed(state), Input::Start(Box::new(started))))
    }
}
